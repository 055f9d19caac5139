//! The one record reader: cuts a record once into a tape of spans.

/// A place in a cut record: `'t` is the tape's, `'r` the record's lifetime.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t, 'r> {
    _tape: std::marker::PhantomData<&'t ()>,
    _record: std::marker::PhantomData<&'r ()>,
}
