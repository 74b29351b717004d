/** HTTP with time limits, second tries where they do no harm, and errors in words (RFC 9457). */

const TIMEOUT_MS = 20_000;
const TRIES = 3;
const WORTH_A_RETRY = new Set([429, 502, 503, 504]);

/** An answer that is an error, or none at all (``status`` 0). */
export class RequestError extends Error {
  /** @param {number} status @param {{type?: string, title?: string, detail?: string, errors?: any}} problem */
  constructor(status, problem) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.name = "RequestError";
    this.status = status;
    this.problem = problem;
  }
}

/**
 * A token for ``Authorization``, or null for none; ``renew`` says that the last one is not good enough any more.
 *
 * @typedef {(renew: boolean) => Promise<string|null>} TokenSource
 */

/**
 * JSON from a URL.
 *
 * @param {string} url
 * @param {Object} [options]
 * @param {string} [options.method]
 * @param {any} [options.body] sent as JSON
 * @param {Record<string, string>} [options.headers]
 * @param {boolean} [options.repeatable] whether a lost answer may be asked for again; true for GET
 * @param {AbortSignal} [options.signal]
 * @param {number} [options.timeout] milliseconds for one try
 * @param {TokenSource} [options.token] who is asking; asked once more for a new token when the server refuses it
 * @returns {Promise<any>} null for an answer without a body
 */
export async function request(url, { method = "GET", body, headers, repeatable, signal, timeout = TIMEOUT_MS, token = nobody } = {}) {
  const tries = (repeatable ?? method === "GET") ? TRIES : 1;
  let shown = await token(false);
  let renewed = false;
  for (let number = 1; ; number += 1) {
    try {
      return await once(url, { method, body, headers: { ...bearer(shown), ...headers }, signal, timeout });
    } catch (error) {
      if (error.status === 401 && !renewed) {
        renewed = true;
        const before = shown;
        shown = await token(true);
        if (shown && shown !== before) continue;
      }
      const again = error instanceof RequestError && (error.status === 0 || WORTH_A_RETRY.has(error.status));
      if (!again || number >= tries || signal?.aborted) throw error;
      await pause(error.retryAfter ?? 300 * 2 ** number * (0.5 + Math.random() / 2), signal);
    }
  }
}

async function nobody() {
  return null;
}

/** @param {string|null} token */
function bearer(token) {
  return token ? { Authorization: `Bearer ${token}` } : {};
}

async function once(url, { method, body, headers, signal, timeout }) {
  const limit = AbortSignal.timeout(timeout);
  const response = await fetch(url, {
    method,
    headers: { Accept: "application/json", ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: signal ? AbortSignal.any([signal, limit]) : limit,
  }).catch((error) => {
    if (signal?.aborted) throw error;
    throw new RequestError(0, { type: error.name === "TimeoutError" ? "timeout" : "offline", detail: error.message });
  });
  if (!response.ok) throw await refusal(response);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const error = new RequestError(response.status, typeof problem === "object" && problem ? problem : {});
  const seconds = Number(response.headers.get("Retry-After"));
  if (seconds > 0) error.retryAfter = Math.min(seconds, 10) * 1000;
  return error;
}

/** @param {number} ms @param {AbortSignal} [signal] */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    }, { once: true });
  });
}
