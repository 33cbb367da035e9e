import { z } from '@hono/zod-openapi';

// Imported before any schema is made: zod would make functions of text to be quicker, and nothing here evaluates text.
z.config({ jitless: true });
