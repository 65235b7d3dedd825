//! The functions that an expression may call, and what they take.

use super::types::Types;

/// One function. A receiver counts as the first argument.
#[derive(Debug)]
pub(super) struct Signature {
    /// As it is written.
    pub name: &'static str,
    /// Called as `a.name(b)`; else as `name(a, b)`.
    pub receiver: bool,
    /// What each argument may be.
    pub arguments: &'static [Types],
    /// How many of them are needed.
    pub required: usize,
    /// What it gives.
    pub result: Types,
    /// What it does.
    pub function: Function,
}

/// What a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Replace,
    Split,
    Substring,
    IndexOf,
    LastIndexOf,
    CharAt,
    Join,
    String,
    Int,
    Double,
    Bool,
    Timestamp,
    Duration,
    Dyn,
    Time(Part),
    HasValue,
    OptionalValue,
}

/// A part of a timestamp, or a whole of a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    FullYear,
    Month,
    Date,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hours,
    Minutes,
    Seconds,
    Milliseconds,
}

const STRING: Types = Types::STRING;
const INT: Types = Types::INT;
const SIZED: Types = Types::STRING.or(Types::LIST).or(Types::MAP);
const CLOCK: Types = Types::TIMESTAMP.or(Types::DURATION);
const TO_STRING: Types =
    Types::STRING.or(Types::NUMBER).or(Types::BOOL).or(Types::TIMESTAMP).or(Types::DURATION);

const fn method(
    name: &'static str,
    arguments: &'static [Types],
    required: usize,
    result: Types,
    function: Function,
) -> Signature {
    Signature { name, receiver: true, arguments, required, result, function }
}

const fn global(
    name: &'static str,
    arguments: &'static [Types],
    result: Types,
    function: Function,
) -> Signature {
    Signature { name, receiver: false, arguments, required: arguments.len(), result, function }
}

/// All functions that are not part of the syntax.
pub(super) static FUNCTIONS: &[Signature] = &[
    global("size", &[SIZED], INT, Function::Size),
    method("size", &[SIZED], 1, INT, Function::Size),
    method("contains", &[STRING, STRING], 2, Types::BOOL, Function::Contains),
    method("startsWith", &[STRING, STRING], 2, Types::BOOL, Function::StartsWith),
    method("endsWith", &[STRING, STRING], 2, Types::BOOL, Function::EndsWith),
    method("lowerAscii", &[STRING], 1, STRING, Function::LowerAscii),
    method("upperAscii", &[STRING], 1, STRING, Function::UpperAscii),
    method("trim", &[STRING], 1, STRING, Function::Trim),
    method("replace", &[STRING, STRING, STRING, INT], 3, STRING, Function::Replace),
    method("split", &[STRING, STRING, INT], 2, Types::LIST, Function::Split),
    method("substring", &[STRING, INT, INT], 2, STRING, Function::Substring),
    method("indexOf", &[STRING, STRING, INT], 2, INT, Function::IndexOf),
    method("lastIndexOf", &[STRING, STRING], 2, INT, Function::LastIndexOf),
    method("charAt", &[STRING, INT], 2, STRING, Function::CharAt),
    method("join", &[Types::LIST, STRING], 1, STRING, Function::Join),
    global("string", &[TO_STRING], STRING, Function::String),
    global("int", &[STRING.or(Types::NUMBER).or(Types::TIMESTAMP)], INT, Function::Int),
    global("double", &[STRING.or(Types::NUMBER)], Types::DOUBLE, Function::Double),
    global("bool", &[STRING.or(Types::BOOL)], Types::BOOL, Function::Bool),
    global("timestamp", &[STRING.or(INT).or(Types::TIMESTAMP)], Types::TIMESTAMP, Function::Timestamp),
    global("duration", &[STRING.or(Types::DURATION)], Types::DURATION, Function::Duration),
    global("dyn", &[Types::VALUE], Types::VALUE, Function::Dyn),
    method("getFullYear", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::FullYear)),
    method("getMonth", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::Month)),
    method("getDate", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::Date)),
    method("getDayOfMonth", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::DayOfMonth)),
    method("getDayOfWeek", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::DayOfWeek)),
    method("getDayOfYear", &[Types::TIMESTAMP, STRING], 1, INT, Function::Time(Part::DayOfYear)),
    method("getHours", &[CLOCK, STRING], 1, INT, Function::Time(Part::Hours)),
    method("getMinutes", &[CLOCK, STRING], 1, INT, Function::Time(Part::Minutes)),
    method("getSeconds", &[CLOCK, STRING], 1, INT, Function::Time(Part::Seconds)),
    method("getMilliseconds", &[CLOCK, STRING], 1, INT, Function::Time(Part::Milliseconds)),
    method("hasValue", &[Types::OPTIONAL], 1, Types::BOOL, Function::HasValue),
    method("value", &[Types::OPTIONAL], 1, Types::VALUE, Function::OptionalValue),
];

/// Functions that are part of the syntax: they see expressions, not values.
pub(super) const SPECIAL: [(&str, bool); 11] = [
    ("has", false),
    ("all", true),
    ("exists", true),
    ("exists_one", true),
    ("existsOne", true),
    ("map", true),
    ("filter", true),
    ("matches", true),
    ("matches", false),
    ("orValue", true),
    ("or", true),
];

/// The function of a name and form.
pub(super) fn find(name: &str, receiver: bool) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|s| s.name == name && s.receiver == receiver)
}

/// The known name nearest to an unknown one, as it is written in that form.
pub(super) fn nearest(name: &str, receiver: bool) -> Option<String> {
    let form = |n: &str, r: bool| if r { format!("x.{n}(…)") } else { format!("{n}(…)") };
    let known = FUNCTIONS.iter().map(|s| (s.name, s.receiver)).chain(SPECIAL);
    let mut best: Option<(usize, bool, &str, bool)> = None;
    for (known, as_receiver) in known {
        let distance = strsim::damerau_levenshtein(&name.to_ascii_lowercase(), &known.to_ascii_lowercase());
        let candidate = (distance, as_receiver != receiver, known, as_receiver);
        if distance <= 1 + known.len() / 4 && best.is_none_or(|b| (candidate.0, candidate.1) < (b.0, b.1)) {
            best = Some(candidate);
        }
    }
    best.map(|(_, _, known, as_receiver)| form(known, as_receiver))
}
