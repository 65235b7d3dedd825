//! Goes over the items of an array or the members of an object without building either.

use super::invalid;
use crate::expression::value::Fault;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Gives each item of an array, as its text, until `take` wants no more.
pub(super) fn each_item<'a>(text: &'a str, take: impl FnMut(&'a str) -> bool) -> Result<(), Fault> {
    let mut stopped = false;
    let seed = Items { take, stopped: &mut stopped };
    let read = seed.deserialize(&mut serde_json::Deserializer::from_str(text));
    // Who stops leaves the rest of the array unread, which the deserializer takes for an error.
    if stopped { Ok(()) } else { read.map_err(invalid) }
}

/// Gives each member of an object: its name, unescaped, and the text of its value.
pub(super) fn each_member<'a>(text: &'a str, take: impl FnMut(Cow<'a, str>, &'a str)) -> Result<(), Fault> {
    Members(take).deserialize(&mut serde_json::Deserializer::from_str(text)).map_err(invalid)
}

struct Items<'s, F> {
    take: F,
    stopped: &'s mut bool,
}

impl<'de, F: FnMut(&'de str) -> bool> DeserializeSeed<'de> for Items<'_, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&'de str) -> bool> Visitor<'de> for Items<'_, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while let Some(item) = items.next_element::<&'de RawValue>()? {
            if !(self.take)(item.get()) {
                *self.stopped = true;
                break;
            }
        }
        Ok(())
    }
}

struct Members<F>(F);

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> DeserializeSeed<'de> for Members<F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: FnMut(Cow<'de, str>, &'de str)> Visitor<'de> for Members<F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        while let Some((Name(name), value)) = members.next_entry::<Name<'de>, &'de RawValue>()? {
            (self.0)(name, value.get());
        }
        Ok(())
    }
}

/// A member's name, borrowed unless it has escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }
            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
