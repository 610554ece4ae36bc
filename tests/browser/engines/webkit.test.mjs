// The page in WebKit.
import { flows } from './flows.mjs';
import { webkit } from './webkit.mjs';

flows(webkit);
