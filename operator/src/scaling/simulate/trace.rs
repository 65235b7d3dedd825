//! Measurements of a pipeline over time, as CSV.

use super::super::observation::Readings;
use ::pipeline::problem::suggest;

/// Columns that a trace may have, besides `seconds`.
const COLUMNS: [Column; 8] = [
    Column { name: "lag_records", cell: |readings| &mut readings.lag_records, most: f64::MAX },
    Column { name: "lag_seconds", cell: |readings| &mut readings.lag_seconds, most: f64::MAX },
    Column { name: "queue_size", cell: |readings| &mut readings.queue_size, most: f64::MAX },
    Column { name: "processing_seconds", cell: |readings| &mut readings.processing_seconds, most: f64::MAX },
    Column { name: "health", cell: |readings| &mut readings.health, most: 1.0 },
    Column { name: "cpu", cell: |readings| &mut readings.cpu, most: f64::MAX },
    Column { name: "memory", cell: |readings| &mut readings.memory, most: f64::MAX },
    Column { name: "throughput", cell: |readings| &mut readings.throughput, most: f64::MAX },
];
const SECONDS: &str = "seconds";
/// The last second of a trace: about the year 9000, if it counts from 1970.
const SECONDS_MAX: f64 = 2.2e11;

struct Column {
    name: &'static str,
    cell: fn(&mut Readings) -> &mut Option<f64>,
    most: f64,
}

/// Rows in the order of their time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// At least one.
    pub rows: Vec<Row>,
}

/// What was measured at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Seconds since the beginning, or since 1970.
    pub seconds: f64,
    /// The seconds as they were written.
    pub text: String,
    /// What was measured; an empty cell is not known.
    pub readings: Readings,
}

/// What is wrong with a trace. Lines count from 1.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TraceError {
    /// Nothing below the head.
    #[error("there is no row")]
    Empty,
    /// A column that nobody knows.
    #[error("1: unknown column `{name}`{hint}")]
    Column {
        /// What was written.
        name: String,
        /// What there is.
        hint: String,
    },
    /// A column twice.
    #[error("1: the column `{0}` is there twice")]
    Twice(String),
    /// No time.
    #[error("1: the column `seconds` is missing")]
    NoSeconds,
    /// More or fewer cells than columns.
    #[error("{line}: has {cells} cells, the head has {columns}")]
    Cells {
        /// The line.
        line: usize,
        /// Cells of the line.
        cells: usize,
        /// Cells of the head.
        columns: usize,
    },
    /// Something that is no number, or none that can be.
    #[error("{line}: {column}: `{text}` is not a number {range}")]
    Number {
        /// The line.
        line: usize,
        /// The column.
        column: &'static str,
        /// What was written.
        text: String,
        /// What it may be.
        range: &'static str,
    },
    /// A row that is not later than the one before.
    #[error("{line}: seconds: {text} is not more than {before} of the row before; rows go up in time")]
    Order {
        /// The line.
        line: usize,
        /// What was written.
        text: String,
        /// What stands in the row before.
        before: String,
    },
}

impl Trace {
    /// Reads CSV with a head. Lines without any text are passed over.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
        let (_, head) = lines.next().ok_or(TraceError::Empty)?;
        let columns = columns(head)?;
        let mut rows: Vec<Row> = Vec::new();
        for (line, text) in lines {
            let row = row(line, text, &columns)?;
            if let Some(before) = rows.last().filter(|before| before.seconds >= row.seconds) {
                return Err(TraceError::Order { line, text: row.text, before: before.text.clone() });
            }
            rows.push(row);
        }
        if rows.is_empty() { Err(TraceError::Empty) } else { Ok(Self { rows }) }
    }
}

/// The columns of a head; none stands for the time.
fn columns(head: &str) -> Result<Vec<Option<&'static Column>>, TraceError> {
    let mut columns: Vec<Option<&'static Column>> = Vec::new();
    for name in head.split(',').map(str::trim) {
        let column = COLUMNS.iter().find(|column| column.name == name);
        if column.is_none() && name != SECONDS {
            let known = std::iter::once(SECONDS).chain(COLUMNS.iter().map(|column| column.name));
            let hint = suggest(name, known, "there are");
            return Err(TraceError::Column { name: name.to_owned(), hint });
        }
        if columns.iter().any(|other| other.map(|other| other.name) == column.map(|column| column.name)) {
            return Err(TraceError::Twice(name.to_owned()));
        }
        columns.push(column);
    }
    if columns.iter().all(Option::is_some) { Err(TraceError::NoSeconds) } else { Ok(columns) }
}

fn row(line: usize, text: &str, columns: &[Option<&'static Column>]) -> Result<Row, TraceError> {
    let cells: Vec<&str> = text.split(',').map(str::trim).collect();
    if cells.len() != columns.len() {
        return Err(TraceError::Cells { line, cells: cells.len(), columns: columns.len() });
    }
    let mut row = Row { seconds: 0.0, text: String::new(), readings: Readings::default() };
    for (column, text) in columns.iter().zip(cells) {
        match column {
            None => {
                row.seconds = number(text, SECONDS_MAX).ok_or_else(|| TraceError::Number {
                    line,
                    column: SECONDS,
                    text: text.to_owned(),
                    range: "from 0",
                })?;
                text.clone_into(&mut row.text);
            }
            Some(_) if text.is_empty() => {}
            Some(column) => {
                let value = number(text, column.most).ok_or_else(|| TraceError::Number {
                    line,
                    column: column.name,
                    text: text.to_owned(),
                    range: if column.most > 1.0 { "from 0" } else { "from 0 to 1" },
                })?;
                *(column.cell)(&mut row.readings) = Some(value);
            }
        }
    }
    Ok(row)
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| (0.0..=most).contains(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_cell_is_unknown_and_columns_may_stand_in_any_order() {
        let trace = Trace::parse("\u{feff}lag_records, seconds,health\r\n12,0,\r\n\r\n,15.5,0.9\r\n")
            .expect("a trace");
        assert_eq!(trace.rows.len(), 2);
        assert_eq!((trace.rows[0].readings.lag_records, trace.rows[0].readings.health), (Some(12.0), None));
        assert_eq!((trace.rows[1].seconds, trace.rows[1].text.as_str()), (15.5, "15.5"));
        assert_eq!((trace.rows[1].readings.lag_records, trace.rows[1].readings.health), (None, Some(0.9)));
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_line() {
        for (text, words) in [
            ("", "there is no row"),
            ("seconds,health\n", "there is no row"),
            ("seconds,lag_record\n0,1\n", "1: unknown column `lag_record`; did you mean `lag_records`?"),
            ("seconds,seconds\n0,1\n", "1: the column `seconds` is there twice"),
            ("health,health\n0,1\n", "1: the column `health` is there twice"),
            ("health\n1\n", "1: the column `seconds` is missing"),
            ("seconds,health\n0,1\n1\n", "3: has 1 cells, the head has 2"),
            ("seconds,health\n0,1.5\n", "2: health: `1.5` is not a number from 0 to 1"),
            ("seconds,cpu\n0,NaN\n", "2: cpu: `NaN` is not a number from 0"),
            ("seconds,cpu\n0,-1\n", "2: cpu: `-1` is not a number from 0"),
            ("seconds,cpu\n,1\n", "2: seconds: `` is not a number from 0"),
            ("seconds,cpu\n5,1\n5,1\n", "3: seconds: 5 is not more than 5 of the row before"),
        ] {
            let error = Trace::parse(text).expect_err(words).to_string();
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
