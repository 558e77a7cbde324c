//! Values of a message as Python objects.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{
    PyByteArray, PyBytes, PyComplex, PyDict, PyFrozenSet, PyInt, PyList, PySet, PyTuple,
};
use pyqs_formats::Value;
use pyqs_formats::calendar::{Date, DateTime, Time, TimeDelta, UtcOffset};

/// The Python object that a value stands for. As deep as the formats' limits let a value be.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(value) => value.into_bound_py_any(py),
        Value::Int(value) => value.into_bound_py_any(py),
        Value::BigInt(digits) => py.get_type::<PyInt>().call1((digits,)),
        Value::Float(value) => value.into_bound_py_any(py),
        Value::Str(value) => value.into_bound_py_any(py),
        Value::SurrogateStr(bytes) => {
            PyBytes::new(py, bytes).call_method1("decode", ("utf-8", "surrogatepass"))
        }
        Value::Bytes(bytes) => Ok(PyBytes::new(py, bytes).into_any()),
        Value::ByteArray(bytes) => Ok(PyByteArray::new(py, bytes).into_any()),
        Value::List(items) => Ok(PyList::new(py, all(py, items)?)?.into_any()),
        Value::Tuple(items) => Ok(PyTuple::new(py, all(py, items)?)?.into_any()),
        Value::Set(items) => Ok(PySet::new(py, all(py, items)?)?.into_any()),
        Value::FrozenSet(items) => Ok(PyFrozenSet::new(py, all(py, items)?)?.into_any()),
        Value::Map(entries) => map(py, entries),
        Value::DateTime(value) => datetime(py, value),
        Value::Date(value) => date(py, *value),
        Value::Time(value) => time(py, value),
        Value::TimeDelta(value) => timedelta(py, *value),
        Value::TimeZone(offset) => timezone(py, *offset),
        Value::Decimal(text) => py.import("decimal")?.call_method1("Decimal", (text,)),
        Value::Uuid(bytes) => uuid(py, *bytes),
        Value::Complex(real, imaginary) => {
            Ok(PyComplex::from_doubles(py, *real, *imaginary).into_any())
        }
        other => Err(PyTypeError::new_err(format!(
            "a {} can't be made here",
            other.type_name()
        ))),
    }
}

fn all<'py>(py: Python<'py>, items: &[Value]) -> PyResult<Vec<Bound<'py, PyAny>>> {
    items.iter().map(|item| to_python(py, item)).collect()
}

fn map<'py>(py: Python<'py>, entries: &[(Value, Value)]) -> PyResult<Bound<'py, PyAny>> {
    let dict = PyDict::new(py);
    for (key, value) in entries {
        dict.set_item(to_python(py, key)?, to_python(py, value)?)?;
    }
    Ok(dict.into_any())
}

fn datetime<'py>(py: Python<'py>, value: &DateTime) -> PyResult<Bound<'py, PyAny>> {
    let time = time(py, &value.time)?;
    let class = py.import("datetime")?.getattr("datetime")?;
    // `combine` takes over the time's zone and its fold.
    class.call_method1("combine", (date(py, value.date)?, time))
}

fn date(py: Python<'_>, value: Date) -> PyResult<Bound<'_, PyAny>> {
    py.import("datetime")?
        .call_method1("date", (value.year, value.month, value.day))
}

fn time<'py>(py: Python<'py>, value: &Time) -> PyResult<Bound<'py, PyAny>> {
    let zone = match value.offset {
        Some(offset) => timezone(py, offset)?,
        None => py.None().into_bound(py),
    };
    let fold = PyDict::new(py);
    fold.set_item("fold", u8::from(value.is_fold))?;
    let fields = (value.hour, value.minute, value.second, value.micros, zone);
    py.import("datetime")?
        .call_method("time", fields, Some(&fold))
}

fn timedelta(py: Python<'_>, value: TimeDelta) -> PyResult<Bound<'_, PyAny>> {
    py.import("datetime")?
        .call_method1("timedelta", (value.days, value.seconds, value.micros))
}

fn timezone(py: Python<'_>, offset: UtcOffset) -> PyResult<Bound<'_, PyAny>> {
    let datetime = py.import("datetime")?;
    let distance = datetime.call_method1("timedelta", (0, offset.seconds, offset.micros))?;
    datetime.call_method1("timezone", (distance,))
}

fn uuid(py: Python<'_>, bytes: [u8; 16]) -> PyResult<Bound<'_, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("bytes", PyBytes::new(py, &bytes))?;
    py.import("uuid")?.call_method("UUID", (), Some(&fields))
}
