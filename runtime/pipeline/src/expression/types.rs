//! Types as the check sees them: a value has one of a set of types, because JSON has no schema.

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Types(u16);

const NAMES: [&str; 10] =
    ["null", "bool", "int", "double", "string", "timestamp", "duration", "list", "map", "optional"];

impl Types {
    pub const NULL: Self = Self(1);
    pub const BOOL: Self = Self(1 << 1);
    pub const INT: Self = Self(1 << 2);
    pub const DOUBLE: Self = Self(1 << 3);
    pub const STRING: Self = Self(1 << 4);
    pub const TIMESTAMP: Self = Self(1 << 5);
    pub const DURATION: Self = Self(1 << 6);
    pub const LIST: Self = Self(1 << 7);
    pub const MAP: Self = Self(1 << 8);
    pub const OPTIONAL: Self = Self(1 << 9);
    /// An int or a double.
    pub const NUMBER: Self = Self(Self::INT.0 | Self::DOUBLE.0);
    /// What a field of the record may be.
    pub const JSON: Self =
        Self(Self::NULL.0 | Self::BOOL.0 | Self::NUMBER.0 | Self::STRING.0 | Self::LIST.0 | Self::MAP.0);
    /// Anything but an optional value.
    pub const VALUE: Self = Self(Self::JSON.0 | Self::TIMESTAMP.0 | Self::DURATION.0);
    /// Anything.
    pub const ANY: Self = Self(Self::VALUE.0 | Self::OPTIONAL.0);

    /// The types of both.
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The types in both.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// True when there is no type at all.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// True when a value of these types may be of those.
    pub const fn may_be(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// True when a value of these types may equal one of those.
    pub fn may_equal(self, other: Self) -> bool {
        let widen = |t: Self| if t.may_be(Self::NUMBER) { t.or(Self::NUMBER) } else { t };
        widen(self).may_be(widen(other))
    }

    /// Each type of the set by itself.
    pub fn each(self) -> impl Iterator<Item = Self> {
        (0..NAMES.len()).map(|bit| Self(1 << bit)).filter(move |t| self.may_be(*t))
    }
}

impl std::fmt::Display for Types {
    /// `string`, `int or double`, `anything`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::ANY || *self == Self::VALUE {
            return f.write_str("anything");
        }
        if *self == Self::JSON {
            return f.write_str("JSON value");
        }
        let mut first = true;
        for (bit, name) in NAMES.iter().enumerate().filter(|(bit, _)| self.0 & (1 << bit) != 0) {
            debug_assert!(bit < NAMES.len());
            if !std::mem::take(&mut first) {
                f.write_str(" or ")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}
