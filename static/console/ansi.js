/**
 * Colours in log text. The text is hostile: this yields plain characters and class names from a fixed
 * list, never markup, and shows control characters instead of obeying them.
 */

/** SGR | other CSI | OSC | control characters (tab is text) and characters that reorder their neighbours. */
const SPECIAL =
  // eslint-disable-next-line no-control-regex
  /\x1b\[([\d;:]*)m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;

/** The 16 colours as a terminal commonly shows them, only to find the nearest of them. */
const PALETTE = [
  [0, 0, 0], [205, 49, 49], [13, 188, 121], [190, 160, 16], [36, 114, 200], [188, 63, 188], [17, 168, 205], [200, 200, 200],
  [102, 102, 102], [241, 76, 76], [35, 209, 139], [245, 245, 67], [59, 142, 234], [214, 112, 214], [41, 184, 219], [255, 255, 255],
];

/** @typedef {{start: number, end: number, classes: string}} Run characters [start, end) share a look */

/**
 * The text without colours, as copied and searched.
 * @param {string} text
 * @returns {string}
 */
export function plainText(text) {
  return withoutReturn(text).replace(SPECIAL, visible);
}

/**
 * @param {string} text
 * @returns {{plain: string, runs: Run[]}} runs only where the look differs from the plain one
 */
export function parseAnsi(text) {
  const source = withoutReturn(text);
  /** @type {Run[]} */
  const runs = [];
  const look = new Look();
  let plain = '';
  let from = 0;
  const take = (/** @type {string} */ part) => {
    if (part && look.classes) runs.push({ start: plain.length, end: plain.length + part.length, classes: look.classes });
    plain += part;
  };
  for (const match of source.matchAll(SPECIAL)) {
    take(source.slice(from, match.index));
    from = match.index + match[0].length;
    if (match[1] === undefined) take(visible(match[0]));
    else look.apply(match[1]);
  }
  take(source.slice(from));
  return { plain, runs };
}

/** A line's own ending is no content. @param {string} text */
function withoutReturn(text) {
  return text.endsWith('\r') ? text.slice(0, -1) : text;
}

/** As terminals write them: ^[ for escape, <U+202E> for the rest. @param {string} match */
function visible(match) {
  if (match.length > 1) return '';
  const code = match.charCodeAt(0);
  if (code < 0x20 || code === 0x7f) return '^' + String.fromCharCode(code ^ 0x40);
  return `<U+${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}

/** The state that SGR parameters change. */
class Look {
  /** Class names for the text that follows; "" for the plain look. */
  classes = '';
  /** @type {number|null} */ #fg = null;
  /** @type {number|null} */ #bg = null;
  #inverse = false;
  /** @type {Set<string>} */ #styles = new Set();

  /** @param {string} parameters such as "1;38;5;196" */
  apply(parameters) {
    const codes = parameters.split(/[;:]/).map((code) => (code === '' ? 0 : Number(code)));
    // The colon form has one more place, a colour space, which nobody fills.
    if (/[34]8:2::/.test(parameters)) codes.splice(2, 1);
    for (let i = 0; i < codes.length; i += 1) {
      if (codes[i] === 38 || codes[i] === 48) i += this.#extended(codes, i);
      else this.#basic(codes[i]);
    }
    this.classes = this.#names().join(' ');
  }

  /** @param {number} code */
  #basic(code) {
    const style = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 9: 'strike' }[code];
    if (style) this.#styles.add(style);
    else if (code === 0) this.#reset();
    else if (code === 7 || code === 27) this.#inverse = code === 7;
    else if (code === 22) ['bold', 'dim'].forEach((name) => this.#styles.delete(name));
    else if (code === 23) this.#styles.delete('italic');
    else if (code === 24) this.#styles.delete('underline');
    else if (code === 29) this.#styles.delete('strike');
    else if (code >= 30 && code <= 37) this.#fg = code - 30;
    else if (code === 39) this.#fg = null;
    else if (code >= 40 && code <= 47) this.#bg = code - 40;
    else if (code === 49) this.#bg = null;
    else if (code >= 90 && code <= 97) this.#fg = code - 82;
    else if (code >= 100 && code <= 107) this.#bg = code - 92;
  }

  /** 38 and 48 take what follows. @param {number[]} codes @param {number} i @returns {number} how many it took */
  #extended(codes, i) {
    const [, kind, ...rest] = codes.slice(i);
    const color = kind === 5 ? from256(rest[0]) : kind === 2 ? nearest(rest.slice(0, 3)) : null;
    if (codes[i] === 38) this.#fg = color;
    else this.#bg = color;
    return kind === 5 ? 2 : kind === 2 ? 4 : 1;
  }

  #reset() {
    this.#fg = this.#bg = null;
    this.#inverse = false;
    this.#styles.clear();
  }

  #names() {
    const names = [...this.#styles];
    if (this.#inverse) names.push(`bg-${this.#fg ?? 'text'}`);
    else {
      if (this.#bg !== null) names.push(`bg-${this.#bg}`);
      else if (this.#fg !== null) names.push(`fg-${this.#fg}`);
    }
    return names;
  }
}

/** @param {number|undefined} n @returns {number|null} one of 16 */
function from256(n) {
  if (n === undefined || !(n >= 0 && n <= 255)) return null;
  if (n < 16) return n;
  if (n >= 232) return nearest(Array(3).fill(8 + (n - 232) * 10));
  const steps = [0, 95, 135, 175, 215, 255];
  const cube = n - 16;
  return nearest([steps[Math.floor(cube / 36)], steps[Math.floor(cube / 6) % 6], steps[cube % 6]]);
}

/** @param {number[]} rgb @returns {number|null} one of 16 */
function nearest(rgb) {
  if (rgb.length < 3 || rgb.some((part) => !(part >= 0 && part <= 255))) return null;
  let best = 0;
  let least = Infinity;
  PALETTE.forEach((color, index) => {
    const distance = color.reduce((sum, part, i) => sum + (part - rgb[i]) ** 2, 0);
    if (distance < least) [best, least] = [index, distance];
  });
  return best;
}
