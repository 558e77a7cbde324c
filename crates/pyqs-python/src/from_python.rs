//! Python objects as values of a message.

use pyo3::exceptions::{PyRecursionError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PySet, PyString,
    PyTuple,
};
use pyqs_formats::Value;
use pyqs_formats::calendar::{Date, DateTime, Time, UtcOffset};
use pyqs_formats::limits::DEPTH_MAX;

/// The value that stands for an object. Raises `TypeError` for what no message carries, `RecursionError` for what is
/// nested deeper than a message can be read.
pub(crate) fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    Classes::of(object.py())?.value(object, DEPTH_MAX)
}

/// The classes of the standard library that a message carries.
struct Classes<'py> {
    datetime: Bound<'py, PyAny>,
    date: Bound<'py, PyAny>,
    time: Bound<'py, PyAny>,
    decimal: Bound<'py, PyAny>,
    uuid: Bound<'py, PyAny>,
}

impl<'py> Classes<'py> {
    fn of(py: Python<'py>) -> PyResult<Self> {
        let datetime = py.import("datetime")?;
        Ok(Self {
            date: datetime.getattr("date")?,
            time: datetime.getattr("time")?,
            datetime: datetime.getattr("datetime")?,
            decimal: py.import("decimal")?.getattr("Decimal")?,
            uuid: py.import("uuid")?.getattr("UUID")?,
        })
    }

    fn value(&self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Value> {
        let depth = depth
            .checked_sub(1)
            .ok_or_else(|| PyRecursionError::new_err("it is nested too deep, or in itself"))?;
        if object.is_none() {
            return Ok(Value::Null);
        }
        if let Ok(text) = object.cast::<PyString>() {
            return string(text);
        }
        if let Ok(truth) = object.cast::<PyBool>() {
            return Ok(Value::Bool(truth.is_true()));
        }
        if let Ok(integer) = object.cast::<PyInt>() {
            return whole_number(integer);
        }
        if let Ok(float) = object.cast::<PyFloat>() {
            return Ok(Value::Float(float.value()));
        }
        if let Ok(list) = object.cast::<PyList>() {
            return Ok(Value::List(self.all(list.iter(), depth)?));
        }
        if let Ok(tuple) = object.cast::<PyTuple>() {
            return Ok(Value::Tuple(self.all(tuple.iter(), depth)?));
        }
        if let Ok(dict) = object.cast::<PyDict>() {
            let members = dict
                .iter()
                .map(|(key, value)| Ok((self.value(&key, depth)?, self.value(&value, depth)?)));
            return Ok(Value::Map(members.collect::<PyResult<_>>()?));
        }
        if let Ok(bytes) = object.cast::<PyBytes>() {
            return Ok(Value::Bytes(bytes.as_bytes().to_vec()));
        }
        if let Ok(bytes) = object.cast::<PyByteArray>() {
            return Ok(Value::ByteArray(bytes.to_vec()));
        }
        if let Ok(set) = object.cast::<PySet>() {
            return Ok(Value::Set(self.all(set.iter(), depth)?));
        }
        if let Ok(set) = object.cast::<PyFrozenSet>() {
            return Ok(Value::FrozenSet(self.all(set.iter(), depth)?));
        }
        self.of_standard_library(object)
    }

    fn all(
        &self,
        items: impl Iterator<Item = Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<Vec<Value>> {
        items.map(|item| self.value(&item, depth)).collect()
    }

    fn of_standard_library(&self, object: &Bound<'py, PyAny>) -> PyResult<Value> {
        if object.is_instance(&self.datetime)? {
            return Ok(Value::DateTime(datetime(object)?));
        }
        if object.is_instance(&self.date)? {
            return Ok(Value::Date(date(object)?));
        }
        if object.is_instance(&self.time)? {
            return Ok(Value::Time(time(object)?));
        }
        if object.is_instance(&self.decimal)? {
            return Ok(Value::Decimal(object.str()?.extract()?));
        }
        if object.is_instance(&self.uuid)? {
            return Ok(Value::Uuid(object.getattr("bytes")?.extract()?));
        }
        let name = object.get_type().qualname()?;
        Err(PyTypeError::new_err(format!(
            "Object of type {name} is not JSON serializable"
        )))
    }
}

fn string(text: &Bound<'_, PyString>) -> PyResult<Value> {
    if let Ok(text) = text.extract::<String>() {
        return Ok(Value::Str(text));
    }
    let bytes = text.call_method1("encode", ("utf-8", "surrogatepass"))?;
    Ok(Value::SurrogateStr(bytes.extract()?))
}

fn whole_number(integer: &Bound<'_, PyInt>) -> PyResult<Value> {
    if let Ok(small) = integer.extract::<i64>() {
        return Ok(Value::Int(small));
    }
    // Not by `str()`, which a subclass may have of its own.
    let digits = integer
        .py()
        .get_type::<PyInt>()
        .call_method1("__repr__", (integer,))?;
    Ok(Value::BigInt(digits.extract()?))
}

pub(crate) fn datetime(object: &Bound<'_, PyAny>) -> PyResult<DateTime> {
    Ok(DateTime {
        date: date(object)?,
        time: time(object)?,
    })
}

fn date(object: &Bound<'_, PyAny>) -> PyResult<Date> {
    Ok(Date {
        year: object.getattr("year")?.extract()?,
        month: object.getattr("month")?.extract()?,
        day: object.getattr("day")?.extract()?,
    })
}

fn time(object: &Bound<'_, PyAny>) -> PyResult<Time> {
    let offset = object.call_method0("utcoffset")?;
    let offset = (!offset.is_none())
        .then(|| utc_offset(&offset))
        .transpose()?;
    Ok(Time {
        hour: object.getattr("hour")?.extract()?,
        minute: object.getattr("minute")?.extract()?,
        second: object.getattr("second")?.extract()?,
        micros: object.getattr("microsecond")?.extract()?,
        is_fold: object.getattr("fold")?.extract::<u8>()? == 1,
        offset,
    })
}

fn utc_offset(distance: &Bound<'_, PyAny>) -> PyResult<UtcOffset> {
    let days: i32 = distance.getattr("days")?.extract()?;
    let seconds: i32 = distance.getattr("seconds")?.extract()?;
    let micros = distance.getattr("microseconds")?.extract()?;
    let seconds = days
        .checked_mul(86_400)
        .and_then(|days| days.checked_add(seconds))
        .ok_or_else(|| PyValueError::new_err("an offset from UTC is less than a day"))?;
    Ok(UtcOffset { seconds, micros })
}
