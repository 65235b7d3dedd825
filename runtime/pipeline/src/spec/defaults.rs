//! Every default and bound, once: validation uses these constants, `weir explain` prints [`table`], and the reference
//! page is compared with it.

use super::Duration;

/// A duration with its default and bounds, all in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationSetting {
    /// Name of the field.
    pub field: &'static str,
    /// The value when the user says nothing; none for a field that must be given.
    pub default_ms: Option<i64>,
    /// The smallest value.
    pub min_ms: i64,
    /// The largest value.
    pub max_ms: i64,
}

/// A number with its default and bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumberSetting {
    /// Name of the field.
    pub field: &'static str,
    /// The value when the user says nothing; none when something else decides.
    pub default: Option<i64>,
    /// The smallest value.
    pub min: i64,
    /// The largest value.
    pub max: i64,
}

const SECOND: i64 = 1_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How far a record may lie behind the newest of its partition.
pub const MAX_OUT_OF_ORDERNESS: DurationSetting = duration("maxOutOfOrderness", Some(5 * SECOND), 0, DAY);
/// How long a partition may be silent before it no longer holds back the others.
pub const IDLE_TIMEOUT: DurationSetting = duration("idleTimeout", Some(30 * SECOND), SECOND, DAY);
/// How far ahead of the clock an event time may lie; 0 is off.
pub const MAX_FUTURE: DurationSetting = duration("maxFuture", Some(HOUR), 0, 366 * DAY);
/// How long after its end a window stays open.
pub const ALLOWED_LATENESS: DurationSetting = duration("allowedLateness", Some(0), 0, 7 * DAY);
/// Length of a tumbling window.
pub const TUMBLING_SIZE: DurationSetting = duration("tumbling.size", None, 1, 366 * DAY);
/// Time between commits while there is output.
pub const COMMIT_INTERVAL: DurationSetting = duration("commitInterval", Some(100), 10, 60 * SECOND);
/// Time between commits of positions while there is no output.
pub const IDLE_COMMIT_INTERVAL_MS: i64 = 5 * SECOND;
/// Time between snapshots.
pub const CHECKPOINT_INTERVAL: DurationSetting =
    duration("checkpoint.interval", Some(60 * SECOND), 5 * SECOND, HOUR);
/// How long a change of the plan is watched.
pub const PROBATION: DurationSetting = duration("updateStrategy.probation", Some(2 * MINUTE), 0, HOUR);
/// Pods.
pub const REPLICAS: NumberSetting = NumberSetting { field: "replicas", default: Some(1), min: 1, max: 1_000 };
/// Units of a stage.
pub const PARTITIONS: NumberSetting =
    NumberSetting { field: "partitions", default: None, min: 1, max: 4_096 };

/// The largest record in bytes: key, value and headers, after decompression.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// The largest value of one key field in bytes.
pub const KEY_FIELD_BYTES_MAX: usize = 64 << 10;
/// How deep JSON may be nested.
pub const JSON_DEPTH_MAX: usize = 128;
/// The longest name of a pipeline, source, step, branch or sink.
pub const NAME_LENGTH_MAX: usize = 40;
/// The longest expression in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 1 << 10;
/// The longest path of a field in bytes.
pub const FIELD_PATH_BYTES_MAX: usize = 256;
/// The deepest path of a field.
pub const FIELD_PATH_PARTS_MAX: usize = 16;
/// Sources of a pipeline.
pub const SOURCES_MAX: usize = 32;
/// Steps of a pipeline.
pub const STEPS_MAX: usize = 100;
/// Sinks of a pipeline.
pub const SINKS_MAX: usize = 64;
/// Aggregates of a window.
pub const AGGREGATES_MAX: usize = 64;
/// Key fields of a window.
pub const KEY_FIELDS_MAX: usize = 16;

const fn duration(field: &'static str, default_ms: Option<i64>, min_ms: i64, max_ms: i64) -> DurationSetting {
    DurationSetting { field, default_ms, min_ms, max_ms }
}

impl DurationSetting {
    /// The default; 0 for a field that must be given.
    pub fn default_or_zero(self) -> i64 {
        self.default_ms.unwrap_or(0)
    }

    fn default_text(self) -> String {
        self.default_ms.map(Duration::text).unwrap_or_default()
    }

    /// The bounds as text, such as `10ms–60s`.
    pub fn bounds(self) -> String {
        format!("{}–{}", Duration::text(self.min_ms), Duration::text(self.max_ms))
    }
}

/// One row of the reference table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The field or thing.
    pub field: String,
    /// Its default.
    pub default: String,
    /// Its bound.
    pub bound: String,
}

/// The reference table, in the order of the reference page.
pub fn table() -> Vec<Row> {
    let row = |field: &str, default: String, bound: String| Row { field: field.to_owned(), default, bound };
    let plain = |setting: DurationSetting, bound: String| row(setting.field, setting.default_text(), bound);
    let at_most = |setting: DurationSetting| format!("≤ {}", Duration::text(setting.max_ms));
    let number = |setting: NumberSetting| format!("{}–{}", setting.min, setting.max);
    vec![
        plain(MAX_OUT_OF_ORDERNESS, at_most(MAX_OUT_OF_ORDERNESS)),
        plain(IDLE_TIMEOUT, format!("≥ {}, {}", Duration::text(IDLE_TIMEOUT.min_ms), at_most(IDLE_TIMEOUT))),
        plain(MAX_FUTURE, format!("{}; `0s` is off", at_most(MAX_FUTURE))),
        plain(ALLOWED_LATENESS, at_most(ALLOWED_LATENESS)),
        plain(TUMBLING_SIZE, TUMBLING_SIZE.bounds()),
        row(
            COMMIT_INTERVAL.field,
            format!(
                "{} with output, {} without",
                COMMIT_INTERVAL.default_text(),
                Duration::text(IDLE_COMMIT_INTERVAL_MS)
            ),
            COMMIT_INTERVAL.bounds(),
        ),
        plain(CHECKPOINT_INTERVAL, CHECKPOINT_INTERVAL.bounds()),
        row(REPLICAS.field, "1".to_owned(), number(REPLICAS)),
        row(PARTITIONS.field, "partitions of the widest source topic".to_owned(), number(PARTITIONS)),
        row("size", "Small".to_owned(), String::new()),
        row("record (key, value, headers)", String::new(), format!("≤ {} MiB", RECORD_BYTES_MAX >> 20)),
        row("value of a key field", String::new(), format!("≤ {} KiB", KEY_FIELD_BYTES_MAX >> 10)),
        row("depth of JSON", String::new(), format!("≤ {JSON_DEPTH_MAX}")),
        row("deliveryGuarantee", "ExactlyOnce".to_owned(), String::new()),
        row("startFrom", "Earliest".to_owned(), String::new()),
        row("updateStrategy.type", "Handover".to_owned(), String::new()),
        plain(PROBATION, format!("{}; `0s` is off", at_most(PROBATION))),
        row("updateStrategy.autoRollback", "true".to_owned(), String::new()),
        row("name", String::new(), format!("≤ {NAME_LENGTH_MAX}, DNS label")),
        row("sources", String::new(), format!("1–{SOURCES_MAX}")),
        row("steps", String::new(), format!("≤ {STEPS_MAX}")),
        row("sinks", String::new(), format!("1–{SINKS_MAX}")),
        row("aggregates", String::new(), format!("1–{AGGREGATES_MAX}")),
        row("keyBy", String::new(), format!("1–{KEY_FIELDS_MAX}")),
        row("expression", String::new(), format!("≤ {} KiB", EXPRESSION_BYTES_MAX >> 10)),
    ]
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn the_reference_page_has_the_table_of_the_code() {
        let page = include_str!("../../../../docs/reference/defaults.md");
        let of_page: Vec<String> = page
            .lines()
            .filter(|line| line.starts_with('|'))
            .skip(2)
            .map(|line| line.split('|').skip(1).take(3).map(str::trim).collect::<Vec<_>>().join(" | "))
            .collect();
        let of_code: Vec<String> =
            table().iter().map(|row| format!("`{}` | {} | {}", row.field, row.default, row.bound)).collect();
        assert_eq!(of_page, of_code);
    }
}
