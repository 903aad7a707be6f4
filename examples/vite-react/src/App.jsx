import { useState } from "react";

const TALLEST = 12;
const COLOURS = ["#7a5c48", "#a9744f", "#c98f5f", "#8c8177", "#e0b184"];

export function App() {
  const [count, setCount] = useState(0);
  return (
    <main>
      <h1>Pebbles</h1>
      <p>A React app that Vite built. Stack a few, then change it and deploy again.</p>
      <Stack height={count} />
      <div className="actions">
        <button type="button" data-testid="count" disabled={count === TALLEST} onClick={() => setCount(count + 1)}>
          {count === TALLEST ? "High enough" : "Add a pebble"}: {count}
        </button>
        <button type="button" className="quiet" disabled={count === 0} onClick={() => setCount(0)}>
          Start again
        </button>
      </div>
    </main>
  );
}

function Stack({ height }) {
  return (
    <ol className="stack" aria-label={`A stack of ${height} pebbles`}>
      {Array.from({ length: height }, (_, index) => (
        <li key={index} style={{ width: `${9 - index * 0.6}rem`, background: COLOURS[index % COLOURS.length] }} />
      ))}
    </ol>
  );
}
