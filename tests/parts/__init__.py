"""The real things that tests run against: servers, repositories, a browser."""
