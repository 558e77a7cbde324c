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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;
    use crate::undecodable::Layer;

    fn zlib(data: &[u8], level: Compression) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), level);
        encoder
            .write_all(data)
            .and_then(|()| encoder.finish())
            .expect("memory takes all")
    }

    /// Text that compresses to about a fiftieth: 64 bytes that differ, then blanks.
    fn text(bytes: usize) -> Vec<u8> {
        let mut seed = 1_u32;
        let line = || {
            let mut line = [b' '; 1024];
            for byte in &mut line[..16] {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                *byte = seed.to_be_bytes()[0];
            }
            line
        };
        let mut text = std::iter::repeat_with(line)
            .take(bytes.div_ceil(1024))
            .flatten()
            .collect::<Vec<u8>>();
        text.truncate(bytes);
        text
    }

    fn reason(flaw: Flaw) -> String {
        flaw.within(Layer::Compression).to_string()
    }

    #[test]
    fn output_is_limited() {
        let at_limit = zlib(&text(EXPANDED_BYTES_MAX), Compression::fast());
        assert_eq!(
            Codec::Zlib.expand(&at_limit).map(|expanded| expanded.len()),
            Ok(EXPANDED_BYTES_MAX)
        );
        let beyond = Codec::Zlib
            .expand(&zlib(&text(EXPANDED_BYTES_MAX + 1), Compression::fast()))
            .map(drop)
            .expect_err("one beyond");
        insta::assert_snapshot!(reason(beyond), @"compression: more than 16 MiB once expanded");
    }

    #[test]
    fn what_is_small_may_be_compressed_however_well() {
        let expanded =
            Codec::Zlib.expand(&zlib(&vec![b' '; EXPANDED_FREE_BYTES], Compression::best()));
        assert_eq!(
            expanded.map(|expanded| expanded.len()),
            Ok(EXPANDED_FREE_BYTES)
        );
        let beyond = Codec::Zlib
            .expand(&zlib(
                &vec![b' '; EXPANDED_FREE_BYTES + 1],
                Compression::best(),
            ))
            .map(drop)
            .expect_err("one beyond");
        insta::assert_snapshot!(reason(beyond), @"compression: expands to more than 200 times its size");
    }

    #[test]
    fn workers_take_short_names_too() {
        for (names, codec) in [
            (["application/x-gzip", "gzip", "zlib"], Codec::Zlib),
            (["application/x-bz2", "bzip2", "bzip"], Codec::Bzip2),
            (["application/x-lzma", "lzma", "xz"], Codec::Lzma),
            (["application/zstd", "zstd", "zstandard"], Codec::Zstd),
            (["application/x-brotli", "brotli", "brotli"], Codec::Brotli),
        ] {
            assert!(names.iter().all(|name| Codec::named(name) == Ok(codec)));
        }
        let unknown = Codec::named("snappy").expect_err("unknown");
        insta::assert_snapshot!(reason(unknown), @r#"compression: "snappy" is not read; gzip, bzip2, lzma, brotli and zstd are"#);
    }

    #[test]
    fn empty_and_broken_data_are_refused() {
        for codec in [
            Codec::Zlib,
            Codec::Bzip2,
            Codec::Lzma,
            Codec::Brotli,
            Codec::Zstd,
        ] {
            for data in [&b""[..], b"no such data", b"\x1f\x8b\x08\0\0\0\0\0"] {
                let found = codec.expand(data);
                assert!(
                    !found.as_ref().is_ok_and(|data| !data.is_empty()),
                    "{codec:?}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn the_old_lzma_form_is_read() {
        // Python: lzma.compress(b"hello", format=lzma.FORMAT_ALONE)
        let data = b"\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x34\x19\x49\xee\x8e\x68\x21\xff\xff\xff\xb9\xe0\x00\x00";
        assert_eq!(Codec::Lzma.expand(data).as_deref(), Ok(&b"hello"[..]));
    }
}
