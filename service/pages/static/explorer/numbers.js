/** Numbers for reading: four digits, a real minus sign, powers of ten for very small or large numbers. */

const DIGITS = 4;
const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const SUBSCRIPTS = "₀₁₂₃₄₅₆₇₈₉";

/** A number with so many significant digits; a number with fewer digits is unchanged: 0.05, 12. */
export function shown(value, digits = DIGITS) {
  if (value === null || value === undefined || Number.isNaN(value)) return "not a finite number";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e5 && (Number.isInteger(value) || Number(value.toPrecision(digits)) === value)) return signed(String(value));
  const rounded = Number(size.toPrecision(digits));
  if (rounded < 1e-3 || rounded >= 1e5) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${signed(mantissa)}×10${superscript(Number(exponent))}`;
  }
  return signed(value.toPrecision(digits));
}

/** A power of ten. */
export const power = (exponent) => (exponent === 0 ? "1" : `10${superscript(exponent)}`);

/** A typed number, as it was typed. */
export function asTyped(text) {
  return signed(text);
}

/** A typed number, with fewer digits if there is no room for all of them. */
export function inBrief(text, room = 9) {
  return text.length <= room || Number.isNaN(Number(text)) ? asTyped(text.slice(0, 2 * room)) : shown(Number(text));
}

/** All digits of a float64, so that it reads back to the same one. */
export function full(value) {
  return value === null || value === undefined ? "not a finite number" : String(value);
}

/** A name with an index below: x₁₂. */
export function indexed(letter, index) {
  return letter + [...String(index)].map((digit) => SUBSCRIPTS[digit]).join("");
}

/** "1 value", "2 values". */
export function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

/** The CSS class for a value's sign, which sets its colour. */
export function sign(value) {
  return value > 0 ? "positive" : value < 0 ? "negative" : "zero";
}

const signed = (text) => text.replace("-", "−");
const superscript = (exponent) => [...String(exponent)].map((digit) => SUPERSCRIPTS[digit]).join("");
