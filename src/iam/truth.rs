//! Kleene's three values.

/// False, unknown or true, in that order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Truth {
    /// False.
    #[default]
    No,
    /// It depends on something that is not known.
    Unknown,
    /// True.
    Yes,
}

impl Truth {
    /// The truth of a plain value.
    pub fn of(value: bool) -> Self {
        if value { Truth::Yes } else { Truth::No }
    }

    /// Both.
    pub fn and(self, other: Truth) -> Truth {
        self.min(other)
    }

    /// Either.
    pub fn or(self, other: Truth) -> Truth {
        self.max(other)
    }

    /// All of them; of none, true.
    pub fn all(list: impl IntoIterator<Item = Truth>) -> Truth {
        list.into_iter().fold(Truth::Yes, Truth::and)
    }

    /// Any of them; of none, false.
    pub fn any(list: impl IntoIterator<Item = Truth>) -> Truth {
        list.into_iter().fold(Truth::No, Truth::or)
    }
}

impl std::ops::Not for Truth {
    type Output = Truth;

    fn not(self) -> Truth {
        match self {
            Truth::No => Truth::Yes,
            Truth::Unknown => Truth::Unknown,
            Truth::Yes => Truth::No,
        }
    }
}
