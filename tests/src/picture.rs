//! Pictures of pages: a third as large and in few colours, so that they are small enough to keep, and
//! held against those of before so that letters may be drawn a little differently, and nothing may
//! stand elsewhere.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Cursor},
    path::Path,
};

use anyhow::{Context, Result, bail, ensure};
use png::{BitDepth, ColorType, Compression, Decoder, Encoder, Transformations};

/// So many pixels of a page, each way, become one.
const SHRINK: usize = 3;

/// Shades of each colour that are kept.
const SHADES: usize = 6;

/// Side of the blocks that are compared.
const BLOCK: usize = 6;

/// How far the mean of a block may be off, of 255.
const TOLERANCE: usize = 14;

/// How many blocks of ten thousand may be off further.
const ODD_MAX: usize = 20;

/// How many lines two pictures of one page may differ in height.
const LINES: usize = 1;

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<[u8; 3]>,
}

impl Picture {
    /// Makes one of a screenshot.
    ///
    /// # Errors
    /// Fails when it is no PNG.
    pub fn of(screenshot: &[u8]) -> Result<Picture> {
        let whole = read(Decoder::new(Cursor::new(screenshot)))?;
        let (width, height) = (whole.width.div_ceil(SHRINK), whole.height.div_ceil(SHRINK));
        let small = |at: usize| whole.mean(at % width * SHRINK, at / width * SHRINK, SHRINK).map(shade);
        Ok(Picture { width, height, pixels: (0..width * height).map(small).collect() })
    }

    /// Reads one that is kept.
    ///
    /// # Errors
    /// Fails when it is no PNG.
    pub fn kept(path: &Path) -> Result<Picture> {
        let file = File::open(path).with_context(|| format!("no picture {}", path.display()))?;
        read(Decoder::new(BufReader::new(file)))
    }

    /// Keeps it.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn keep(&self, path: &Path) -> Result<()> {
        let file = File::create(path).with_context(|| format!("could not write {}", path.display()))?;
        let mut encoder =
            Encoder::new(BufWriter::new(file), u32::try_from(self.width)?, u32::try_from(self.height)?);
        let mut palette: Vec<[u8; 3]> = self.pixels.clone();
        palette.sort_unstable();
        palette.dedup();
        let place = |pixel: &[u8; 3]| Ok(u8::try_from(palette.partition_point(|colour| colour < pixel))?);
        let data = self.pixels.iter().map(place).collect::<Result<Vec<u8>>>()?;
        encoder.set_color(ColorType::Indexed);
        encoder.set_depth(BitDepth::Eight);
        encoder.set_palette(palette.concat());
        encoder.set_compression(Compression::High);
        encoder.write_header()?.write_image_data(&data)?;
        Ok(())
    }

    /// Says how another picture of the same page differs, if it does.
    pub fn difference(&self, other: &Picture) -> Option<String> {
        if self.width != other.width || self.height.abs_diff(other.height) > LINES {
            let size = |picture: &Picture| format!("{}×{}", picture.width * SHRINK, picture.height * SHRINK);
            return Some(format!("it is {} pixels large and was {}", size(other), size(self)));
        }
        let (columns, rows) = (self.width.div_ceil(BLOCK), self.height.min(other.height).div_ceil(BLOCK));
        let mut odd = 0;
        let mut first = None;
        for at in 0..columns * rows {
            let (x, y) = (at % columns * BLOCK, at / columns * BLOCK);
            let (mine, theirs) = (self.mean(x, y, BLOCK), other.mean(x, y, BLOCK));
            if mine.iter().zip(theirs).any(|(mine, theirs)| usize::from(mine.abs_diff(theirs)) > TOLERANCE) {
                odd += 1;
                first.get_or_insert((x * SHRINK, y * SHRINK));
            }
        }
        let (x, y) = first.filter(|_| odd * 10_000 > columns * rows * ODD_MAX)?;
        Some(format!(
            "{odd} of {} parts look different, the first one {x} from the left and {y} from the top",
            columns * rows
        ))
    }

    /// Returns the mean colour of a square, as far as it lies in the picture.
    fn mean(&self, x: usize, y: usize, side: usize) -> [u8; 3] {
        let (right, bottom) = ((x + side).min(self.width), (y + side).min(self.height));
        let (mut red, mut green, mut blue) = (0_usize, 0_usize, 0_usize);
        for row in y..bottom {
            for pixel in &self.pixels[row * self.width + x..row * self.width + right] {
                red += usize::from(pixel[0]);
                green += usize::from(pixel[1]);
                blue += usize::from(pixel[2]);
            }
        }
        let many = ((right - x) * (bottom - y)).max(1);
        [red, green, blue].map(|sum| u8::try_from(sum / many).unwrap_or(u8::MAX))
    }
}

/// Reads what the one QR code says that a screenshot shows, as the camera of a phone does.
///
/// # Errors
/// Fails when there is not exactly one, or it cannot be read.
pub fn code(screenshot: &[u8]) -> Result<String> {
    let seen = read(Decoder::new(Cursor::new(screenshot)))?;
    let grey = |x: usize, y: usize| {
        let sum: u16 = seen.pixels[y * seen.width + x].into_iter().map(u16::from).sum();
        u8::try_from(sum / 3).unwrap_or(u8::MAX)
    };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(seen.width, seen.height, grey);
    let codes = image.detect_grids();
    let [code] = codes.as_slice() else { bail!("{} codes where one is shown", codes.len()) };
    let (_, text) = code.decode().context("a code that does not read")?;
    Ok(text)
}

fn read<R: std::io::BufRead + std::io::Seek>(mut decoder: Decoder<R>) -> Result<Picture> {
    decoder.set_transformations(Transformations::normalize_to_color8());
    // What is damaged looks different.
    decoder.ignore_checksums(true);
    let mut reader = decoder.read_info()?;
    let mut bytes = vec![0; reader.output_buffer_size().context("a picture that is too large")?];
    let info = reader.next_frame(&mut bytes)?;
    let size = info.color_type.samples();
    ensure!(size >= 3, "a picture without colours");
    let pixels = bytes[..info.buffer_size()].chunks_exact(size).map(|pixel| [pixel[0], pixel[1], pixel[2]]);
    let (width, height) = (usize::try_from(info.width)?, usize::try_from(info.height)?);
    Ok(Picture { width, height, pixels: pixels.collect() })
}

/// Rounds a part of a colour to the shades that are kept.
fn shade(part: u8) -> u8 {
    let steps = SHADES - 1;
    let step = (usize::from(part) * steps + 127) / 255;
    u8::try_from(step * 255 / steps).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of 60 lines of dark dashes, with everything below a line moved down.
    fn page(from: usize, down: usize, ink: u8) -> Picture {
        let (width, height) = (120, 240);
        let pixels = (0..width * height).map(|at| {
            let (x, y) = (at % width, at / width);
            let y = if y < from { y } else { y.saturating_sub(down) };
            if y % 8 < 3 && x % 5 < 3 { [ink; 3] } else { [255; 3] }
        });
        Picture { width, height, pixels: pixels.collect() }
    }

    #[test]
    fn a_little_more_or_less_ink_is_no_difference_and_a_line_that_has_moved_is_one() {
        let page_of_before = page(0, 0, 40);
        assert_eq!(page_of_before.difference(&page(0, 0, 60)), None);
        assert!(page_of_before.difference(&page(120, 3, 40)).is_some());
        assert!(page_of_before.difference(&page(0, 0, 255)).is_some());
        let longer = Picture { height: 246, pixels: vec![[255; 3]; 120 * 246], ..page(0, 0, 40) };
        assert!(page_of_before.difference(&longer).unwrap().contains("pixels large"));
    }

    #[test]
    fn a_picture_that_is_kept_is_read_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page.png");
        let picture = page(0, 0, 51);
        picture.keep(&path).unwrap();
        assert_eq!(Picture::kept(&path).unwrap(), picture);
        assert!(std::fs::metadata(&path).unwrap().len() < 2_000);
    }
}
