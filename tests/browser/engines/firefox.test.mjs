// The page in Firefox.
import { firefox } from './firefox.mjs';
import { flows } from './flows.mjs';

flows(firefox);
