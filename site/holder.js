// Calls the relay with the API key of this tab.

import { caller } from './call.js';

export const call = caller('key');
