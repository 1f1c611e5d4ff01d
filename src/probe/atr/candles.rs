//! Finds candles in an answer: presets for what exchanges say, paths for everything else.

use crate::observation::{Failure, Reason};
use crate::values::{Dated, JsonPath, Redactor, as_number, read_time};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// One candle.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candle {
    /// The first price, where the answer has it.
    pub open: Option<f64>,
    /// The highest price.
    pub high: f64,
    /// The lowest price.
    pub low: f64,
    /// The last price.
    pub close: f64,
    /// When it opened, in seconds since the Unix epoch, where the answer says it.
    pub time: Option<f64>,
}

/// How an exchange lays its candles out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Preset {
    /// Told by the shape of the answer: one of the following.
    #[default]
    Auto,
    /// `$.data.candlestick[0].ohlcv`, a list of `[open, high, low, close, volume, time]`.
    Bitbank,
    /// A list of `[time, open, high, low, close, …]`.
    Binance,
    /// A list of objects with `time`, `open`, `high`, `low` and `close`.
    Ohlc,
}

/// Where a value stands in a candle.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "neither a place in a list (0, 1, …) nor a key of an object")]
pub enum Column {
    /// The place in a list, from 0 on.
    Index(usize),
    /// The key of an object.
    Key(String),
}

/// The block `paths:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Paths {
    /// The list of candles.
    pub candles: JsonPath,
    /// The highest price.
    pub high: Column,
    /// The lowest price.
    pub low: Column,
    /// The last price.
    pub close: Column,
    /// The first price.
    #[serde(default)]
    pub open: Option<Column>,
    /// When the candle opened.
    #[serde(default)]
    pub time: Option<Column>,
}

/// The list of candles in an answer.
enum Place {
    Path(JsonPath),
    /// RFC 6901.
    Pointer(&'static str),
}

/// Where candles and their values stand.
struct Layout {
    place: Place,
    open: Option<Column>,
    high: Column,
    low: Column,
    close: Column,
    time: Option<Column>,
}

/// What bitbank's answers hold, and no other.
const BITBANK: &str = "/data/candlestick/0/ohlcv";

impl Layout {
    fn of_list(place: &'static str, [time, open, high, low, close]: [usize; 5]) -> Self {
        let [time, open, high, low, close] = [time, open, high, low, close].map(Column::Index);
        Self { place: Place::Pointer(place), open: Some(open), high, low, close, time: Some(time) }
    }

    fn of_objects() -> Self {
        let [time, open, high, low, close] =
            ["time", "open", "high", "low", "close"].map(|key| Column::Key(key.to_owned()));
        Self { place: Place::Pointer(""), open: Some(open), high, low, close, time: Some(time) }
    }

    fn of_preset(preset: Preset) -> Option<Self> {
        match preset {
            Preset::Auto => None,
            Preset::Bitbank => Some(Self::of_list(BITBANK, [5, 0, 1, 2, 3])),
            Preset::Binance => Some(Self::of_list("", [0, 1, 2, 3, 4])),
            Preset::Ohlc => Some(Self::of_objects()),
        }
    }

    fn of_paths(paths: &Paths) -> Self {
        let Paths { candles, high, low, close, open, time } = paths.clone();
        Self { place: Place::Path(candles), open, high, low, close, time }
    }

    /// The list; how it is written where it is not there.
    fn rows<'a>(&self, root: &'a Value) -> Result<&'a [Value], String> {
        let (found, place) = match &self.place {
            Place::Path(path) => (path.select(root), path.as_str()),
            Place::Pointer("") => (vec![root], "$"),
            Place::Pointer(pointer) => (root.pointer(pointer).into_iter().collect(), *pointer),
        };
        match found.as_slice() {
            [Value::Array(rows)] => Ok(rows),
            _ => Err(place.to_owned()),
        }
    }

    fn read(&self, row: &Value) -> Result<Candle, String> {
        let price = |name: &str, column: &Column| match cell(row, column) {
            Some(value) => as_number(value).ok_or_else(|| format!("its {name} is no number")),
            None => Err(format!("it has no {name}")),
        };
        let time = match &self.time {
            Some(column) => {
                let value = cell(row, column).ok_or("it has no time")?;
                Some(time_of(value).ok_or("its time is neither a number nor RFC 3339")?)
            }
            None => None,
        };
        Ok(Candle {
            open: self.open.as_ref().map(|column| price("open", column)).transpose()?,
            high: price("high", &self.high)?,
            low: price("low", &self.low)?,
            close: price("close", &self.close)?,
            time,
        })
    }
}

/// How the candles of one probe are found.
pub(super) struct Source {
    /// None where the answer itself must tell.
    layout: Option<Layout>,
    newest_first: bool,
}

impl Source {
    pub(super) fn new(preset: Preset, paths: Option<&Paths>, newest_first: bool) -> Self {
        let layout = paths.map_or_else(|| Layout::of_preset(preset), |paths| Some(Layout::of_paths(paths)));
        Self { layout, newest_first }
    }

    /// The candles of an answer, the oldest first; `count` hears how many there are before they are looked at.
    ///
    /// # Errors
    /// [`Reason::Json`] for an answer that is no JSON or a candle that cannot be read, [`Reason::Missing`] where there is
    /// no list of candles.
    pub(super) fn read(
        &self,
        body: &[u8],
        redactor: &Redactor,
        count: impl FnOnce(usize),
    ) -> Result<Vec<Candle>, Failure> {
        let begins = || {
            if body.is_empty() { "it is empty".to_owned() } else { format!("it begins: {}", redactor.excerpt(body)) }
        };
        let root: Value = serde_json::from_slice(body)
            .map_err(|error| Failure::new(Reason::Json, format!("the body is not JSON ({error}); {}", begins())))?;
        let told;
        let layout = if let Some(layout) = &self.layout {
            layout
        } else {
            told = tell(&root).ok_or_else(|| {
                let what = "the body has no shape of candles that is known (set preset or paths)";
                Failure::new(Reason::Missing, format!("{what}; {}", begins()))
            })?;
            &told
        };
        let rows = layout.rows(&root).map_err(|place| {
            Failure::new(Reason::Missing, format!("there is no list of candles at {place} of the body; {}", begins()))
        })?;
        count(rows.len());
        let candle = |(index, row): (usize, &Value)| {
            layout.read(row).map_err(|what| {
                let row = redactor.quote(&row.to_string());
                Failure::new(
                    Reason::Json,
                    format!("candle {} of {} cannot be read: {what} in {row}", index + 1, rows.len()),
                )
            })
        };
        let mut candles = rows.iter().enumerate().map(candle).collect::<Result<Vec<_>, _>>()?;
        if self.newest_first {
            candles.reverse();
        }
        Ok(candles)
    }
}

/// The preset of an answer by its shape. A list without candles is a list of either kind.
fn tell(root: &Value) -> Option<Layout> {
    let preset = match root {
        Value::Object(_) if root.pointer(BITBANK).is_some() => Preset::Bitbank,
        Value::Array(rows) => match rows.first() {
            Some(Value::Object(_)) => Preset::Ohlc,
            Some(Value::Array(_)) | None => Preset::Binance,
            Some(_) => return None,
        },
        _ => return None,
    };
    Layout::of_preset(preset)
}

fn cell<'a>(row: &'a Value, column: &Column) -> Option<&'a Value> {
    match (row, column) {
        (Value::Array(values), Column::Index(index)) => values.get(*index),
        (Value::Object(values), Column::Key(key)) => values.get(key),
        _ => None,
    }
}

/// Seconds since the Unix epoch.
fn time_of(value: &Value) -> Option<f64> {
    match read_time(value) {
        Dated::At(at) => Some(at),
        Dated::WithoutOffset | Dated::Not => None,
    }
}
