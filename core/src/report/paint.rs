//! Semantic labels for pieces of text; the one place that could give them colours is the binary's user interface.

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Label {
    /// It is as it should be.
    Good,
    /// Look at it.
    Warn,
    /// It is wrong.
    Bad,
    /// It is not known.
    Open,
    /// A heading.
    Title,
    /// Less important.
    Dim,
}

/// Paints text by label.
pub trait Paint {
    /// `text`, painted.
    fn paint(&self, label: Label, text: &str) -> String;
}

/// No paint.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plain;

impl Paint for Plain {
    fn paint(&self, _label: Label, text: &str) -> String {
        text.to_owned()
    }
}
