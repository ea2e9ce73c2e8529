//! Sagas over replicated actors: they end whole, whichever node carries them out.

mod order;
mod running;
