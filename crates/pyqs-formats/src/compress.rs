//! Compression: what `headers.compression` names, expanded to a stated size and no further.

use std::cell::Cell;
use std::fmt::Display;
use std::io::{self, BufRead, Read};

use brotli_decompressor::Decompressor;
use bzip2::bufread::BzDecoder;
use flate2::bufread::ZlibDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use crate::body::shortened;
use crate::limits::{EXPANDED_BYTES_MAX, EXPANDED_FREE_BYTES, EXPANSION_MAX};
use crate::undecodable::Flaw;

/// Memory for the dictionary of an xz or lzma stream, in KiB. Python's default preset takes 8 MiB.
const LZMA_MEMORY_KIB_MAX: u32 = 24 << 10;

/// Bytes that the brotli decoder reads at a time.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// How much is expanded between two looks at the limits.
const STEP_BYTES: u64 = 64 << 10;

/// What an .xz stream begins with.
const XZ_MAGIC: &[u8] = b"\xfd7zXZ\0";

/// A way to compress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    /// zlib's framing, though it is called gzip.
    Zlib,
    Bzip2,
    /// An .xz stream, or the older .lzma form.
    Lzma,
    Brotli,
    Zstd,
}

impl Codec {
    /// By the name that messages carry, or one of the aliases that workers accept.
    pub(crate) fn named(name: &str) -> Result<Self, Flaw> {
        Ok(match name {
            "application/x-gzip" | "gzip" | "zlib" => Self::Zlib,
            "application/x-bz2" | "bzip2" | "bzip" => Self::Bzip2,
            "application/x-lzma" | "lzma" | "xz" => Self::Lzma,
            "application/x-brotli" | "brotli" => Self::Brotli,
            "application/zstd" | "zstd" | "zstandard" => Self::Zstd,
            other => {
                return Err(Flaw::unsupported(format!(
                    "{} is not read; gzip, bzip2, lzma, brotli and zstd are",
                    shortened(other)
                )));
            }
        })
    }

    /// The data as it was before.
    pub(crate) fn expand(self, data: &[u8]) -> Result<Vec<u8>, Flaw> {
        let consumed = Cell::new(0);
        let input = Counted {
            rest: data,
            consumed: &consumed,
        };
        match self {
            Self::Zlib => read_to_limit(ZlibDecoder::new(input), &consumed),
            Self::Bzip2 => read_to_limit(BzDecoder::new(input), &consumed),
            Self::Lzma if data.starts_with(XZ_MAGIC) => read_to_limit(
                XzReader::new_mem_limit(input, false, LZMA_MEMORY_KIB_MAX),
                &consumed,
            ),
            Self::Lzma => {
                let decoder = LzmaReader::new_mem_limit(input, LZMA_MEMORY_KIB_MAX, None);
                read_to_limit(decoder.map_err(broken)?, &consumed)
            }
            Self::Brotli => read_to_limit(Decompressor::new(input, BROTLI_BUFFER_BYTES), &consumed),
            Self::Zstd => {
                let decoder =
                    StreamingDecoder::new_with_max_window_size(input, EXPANDED_BYTES_MAX as u64);
                read_to_limit(decoder.map_err(broken)?, &consumed)
            }
        }
    }
}

fn read_to_limit(mut decoder: impl Read, consumed: &Cell<usize>) -> Result<Vec<u8>, Flaw> {
    let mut expanded = Vec::new();
    loop {
        let read = decoder
            .by_ref()
            .take(STEP_BYTES)
            .read_to_end(&mut expanded)
            .map_err(broken)?;
        if read == 0 {
            return Ok(expanded);
        }
        if expanded.len() > EXPANDED_BYTES_MAX {
            let mebibytes = EXPANDED_BYTES_MAX >> 20;
            return Err(Flaw::over_limit(format!(
                "more than {mebibytes} MiB once expanded"
            )));
        }
        if expanded.len() > EXPANDED_FREE_BYTES && expanded.len() / EXPANSION_MAX > consumed.get() {
            return Err(Flaw::over_limit(format!(
                "expands to more than {EXPANSION_MAX} times its size"
            )));
        }
    }
}

fn broken(error: impl Display) -> Flaw {
    Flaw::malformed(format!("the data is broken: {error}"))
}

/// The input, with a count of what the decoder took.
struct Counted<'a> {
    rest: &'a [u8],
    consumed: &'a Cell<usize>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.rest.read(buffer)?;
        self.consumed.set(self.consumed.get() + length);
        Ok(length)
    }
}

impl BufRead for Counted<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.rest)
    }

    fn consume(&mut self, length: usize) {
        self.rest.consume(length);
        self.consumed.set(self.consumed.get() + length);
    }
}
