/** The novels' routes. */

import { request } from "/backburner/ui/requests.js";

/** @param {string} path @param {any} [options] */
function ask(path, options) {
  return request(`/api/novels${path}`, options);
}

export const api = {
  novels: () => ask(""),
  create: (novel) => ask("", { method: "POST", body: novel }),
  novel: (id) => ask(`/${id}`),
  chapter: (id, number) => ask(`/${id}/chapters/${number}`),
  write: (id, wishes) => ask(`/${id}/chapters`, { method: "POST", body: wishes }),
  analyse: (id, number) => ask(`/${id}/chapters/${number}/analyse`, { method: "POST" }),
  state: (id) => ask(`/${id}/state`),
  model: () => ask("/model"),
  /** null for a chapter that was never analysed. */
  analysis: (id, number) =>
    ask(`/${id}/chapters/${number}/analysis`).catch((error) => {
      if (error.status === 404) return null;
      throw error;
    }),
};
