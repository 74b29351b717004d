/** Defines backburner's elements: `<bb-job>`, `<bb-text>`, `<bb-inbox>` and `<bb-jobs>`. One import is all a page needs. */

import { InboxElement } from "./elements/inbox.js";
import { JobElement } from "./elements/job.js";
import { JobsElement } from "./elements/jobs.js";
import { TextElement } from "./elements/text.js";

const ELEMENTS = { "bb-job": JobElement, "bb-text": TextElement, "bb-inbox": InboxElement, "bb-jobs": JobsElement };

for (const [name, element] of Object.entries(ELEMENTS)) {
  if (!customElements.get(name)) customElements.define(name, element);
}

export { InboxElement, JobElement, JobsElement, TextElement };
