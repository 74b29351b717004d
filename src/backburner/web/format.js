/** Times, durations and numbers as people write them. */

import { language } from "./language.js";

const numbers = new Intl.NumberFormat(language);
const moments = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "medium" });
const ages = new Intl.RelativeTimeFormat(language, { numeric: "auto", style: "short" });
const UNITS = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** @param {number|null|undefined} value */
export function number(value) {
  return value == null ? "–" : numbers.format(value);
}

/** @param {string|null|undefined} time ISO 8601 */
export function moment(time) {
  return time == null ? "–" : moments.format(new Date(time));
}

/** How long ago a moment is. @param {string} time ISO 8601 */
export function age(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  for (const [unit, size] of UNITS) if (seconds >= size) return ages.format(-Math.floor(seconds / size), unit);
  return ages.format(0, "second");
}

/** @param {number|null|undefined} seconds */
export function duration(seconds) {
  if (seconds == null) return "–";
  if (seconds < 10) return unit(Math.round(seconds * 10) / 10, "second");
  const whole = Math.round(seconds);
  if (whole < 60) return unit(whole, "second");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor((whole % 3600) / 60), whole % 60];
  if (hours) return `${unit(hours, "hour")} ${unit(minutes, "minute")}`;
  return rest ? `${unit(minutes, "minute")} ${unit(rest, "second")}` : unit(minutes, "minute");
}

function unit(value, name) {
  return new Intl.NumberFormat(language, { style: "unit", unit: name, unitDisplay: "short" }).format(value);
}
