//! The message around the value: `meta`.

use super::Row;
use crate::expression::kernel::Context;
use crate::expression::program::Meta;
use crate::expression::value::{Fault, Val};
use std::rc::Rc;

impl<'a> Row<'a> {
    pub(super) fn meta(&self, meta: Meta) -> Result<Val<'a>, Fault> {
        let record = &self.context.batch.records()[self.row];
        Ok(match meta {
            Meta::Topic => Val::str(self.context.topic),
            Meta::Partition => Val::Int(i64::from(self.context.partition)),
            Meta::Offset => Val::Int(record.offset),
            Meta::Timestamp => Val::Timestamp(millis(record.timestamp_ms)?),
            Meta::Key => match self.context.batch.key(self.row) {
                Some(key) => Val::str(utf8(key, "`meta.key`")?),
                None => Val::Null,
            },
            Meta::Headers => self.headers()?,
            Meta::Id => {
                let Context { topic, partition, .. } = self.context;
                Val::string(format!("{topic}-{partition}-{}", record.offset))
            }
        })
    }

    /// The last header of a name.
    pub(super) fn header(&self, name: &str) -> Result<Option<Val<'a>>, Fault> {
        let found = self.context.batch.headers(self.row).filter(|(n, _)| *n == name.as_bytes()).last();
        found.map(|(_, value)| header_value(value)).transpose()
    }

    fn headers(&self) -> Result<Val<'a>, Fault> {
        let mut entries: Vec<(Val<'a>, Val<'a>)> = Vec::new();
        for (name, value) in self.context.batch.headers(self.row) {
            let name = utf8(name, "the name of a header")?;
            let value = header_value(value)?;
            match entries.iter_mut().find(|(n, _)| matches!(n, Val::String(n) if *n == name)) {
                Some(entry) => entry.1 = value,
                None => entries.push((Val::str(name), value)),
            }
        }
        Ok(Val::Map(Rc::new(entries)))
    }
}

fn header_value(value: Option<&[u8]>) -> Result<Val<'_>, Fault> {
    value.map_or(Ok(Val::Null), |value| utf8(value, "a header").map(Val::str))
}

fn utf8<'a>(bytes: &'a [u8], what: &str) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::text(format!("{what} is not UTF-8")))
}

/// Milliseconds as nanoseconds.
pub(super) fn millis(ms: i64) -> Result<i64, Fault> {
    ms.checked_mul(1_000_000).ok_or_else(|| Fault::text("a timestamp is outside of the years 1678 to 2261"))
}
