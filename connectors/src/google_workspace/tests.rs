//! Collection from a scripted Google, and records against events.
mod collection;
