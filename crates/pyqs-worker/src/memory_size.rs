//! `512M`: an amount of memory as people write it.

use std::str::FromStr;

/// An amount of memory, above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(u64);

impl MemorySize {
    /// In bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

/// What is no amount of memory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no amount of memory; give a whole number with its unit, as 512M or 2G")]
pub struct BadMemorySize(String);

impl FromStr for MemorySize {
    type Err = BadMemorySize;

    /// A whole number and `K`, `M` or `G`, which are powers of 1024. The unit is asked for, since others take such
    /// numbers for kilobytes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || BadMemorySize(text.to_owned());
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or_else(bad)?;
        let unit: u64 = match unit {
            "K" | "k" => 1 << 10,
            "M" | "m" => 1 << 20,
            "G" | "g" => 1 << 30,
            _ => return Err(bad()),
        };
        let number: u64 = number.parse().map_err(|_| bad())?;
        let bytes = number.checked_mul(unit).ok_or_else(bad)?;
        if bytes == 0 {
            return Err(bad());
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::MemorySize;

    #[test]
    fn sizes_have_units() {
        let bytes = |text: &str| text.parse().map(MemorySize::bytes).ok();
        assert_eq!(bytes("512M"), Some(512 * 1024 * 1024));
        assert_eq!(bytes("2g"), Some(2 * 1024 * 1024 * 1024));
        assert_eq!(bytes("1K"), Some(1024));
        for nonsense in [
            "",
            "M",
            "512",
            "0M",
            "-1M",
            "1.5G",
            "é",
            "99999999999999999G",
        ] {
            assert_eq!(bytes(nonsense), None, "{nonsense:?}");
        }
    }
}
