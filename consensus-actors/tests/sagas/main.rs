//! Sagas over replicated actors: they end whole, whichever node carries them out.

mod callers;
mod flawed;
mod handover;
mod harness;
mod holding;
mod nested;
mod operators;
mod order;
mod running;
mod shown;
mod tools;
mod written;
