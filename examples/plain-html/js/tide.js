const PERIOD_MS = 12.42 * 60 * 60 * 1000; // from one high water to the next
const MEAN_M = 2.4;
const RANGE_M = 1.9;

function tideAt(time) {
  const phase = (2 * Math.PI * time) / PERIOD_MS;
  return { height: MEAN_M + RANGE_M * Math.sin(phase), rising: Math.cos(phase) > 0 };
}

function show() {
  const { height, rising } = tideAt(Date.now());
  document.getElementById("tide").textContent = `${height.toFixed(2)} m and ${rising ? "rising" : "falling"}`;
  const full = height / (MEAN_M + RANGE_M);
  document.getElementById("water").style.transform = `translateY(${(1 - full) * 100}%)`;
}

show();
setInterval(show, 60_000);
