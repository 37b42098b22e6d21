//! A small picture, made in code.

const GAP: u32 = 12;
const BAR: u32 = 20;
const HEIGHT: u32 = 80;
const WHITE: u8 = 255;
const DARK: u8 = 60;

/// A bar chart as a PNG: dark bars of these heights, in pixels, on white.
pub(crate) fn bar_chart(heights: &[u32]) -> Vec<u8> {
    let bars = u32::try_from(heights.len()).unwrap_or(u32::MAX);
    let width = bars.saturating_mul(BAR + GAP).saturating_add(GAP);
    let mut rows = Vec::new();
    for y in 0..HEIGHT {
        // Each row begins with its filter: none.
        rows.push(0);
        for x in 0..width {
            let bar = heights.get((x / (BAR + GAP)) as usize).filter(|_| x % (BAR + GAP) >= GAP);
            let is_dark = bar.is_some_and(|height| y >= HEIGHT.saturating_sub(*height));
            rows.push(if is_dark { DARK } else { WHITE });
        }
    }
    // 8 bits of grey, no interlacing.
    let header = [&width.to_be_bytes()[..], &HEIGHT.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", header), (b"IDAT", zlib(&rows)), (b"IEND", Vec::new())] {
        let body = [&name[..], &data].concat();
        png.extend(u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes());
        png.extend(&body);
        png.extend(crc32(&body).to_be_bytes());
    }
    png
}

/// Bytes as a zlib stream, stored and not compressed (RFC 1950 and 1951).
fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let mut blocks = bytes.chunks(usize::from(u16::MAX)).peekable();
    while let Some(block) = blocks.next() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(blocks.peek().is_none()));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    stream.extend(((b << 16) | a).to_be_bytes());
    stream
}

/// The checksum of a PNG's chunks.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xedb8_8320,
            _ => crc >> 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_those_of_the_standards() {
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
        assert!(zlib(b"Wikipedia").ends_with(&0x11e6_0398_u32.to_be_bytes()));
    }

    #[test]
    fn a_chart_has_its_size_in_the_header() {
        let png = bar_chart(&[10, 20]);
        assert_eq!(&png[12..24], b"IHDR\0\0\0\x4c\0\0\0\x50");
        assert_eq!(png.len(), 8 + 25 + 12 + 2 + 5 + 80 * 77 + 4 + 12);
    }
}
