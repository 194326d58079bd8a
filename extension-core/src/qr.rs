//! A text as a QR code, for a camera to read off the screen.

use qrcode::{Color, EcLevel, QrCode};
use serde::Serialize;

/// Light modules around the code that a camera needs.
const QUIET: usize = 4;

/// A QR code as SVG draws it, dark on light.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picture {
    /// Its width and height, with what is light around it.
    pub size: usize,
    /// The dark modules as a path: a rectangle for each run of them in a row.
    pub path: String,
}

impl Picture {
    /// Draws a text, unless it is too long.
    pub fn of(text: &str) -> Option<Picture> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).ok()?;
        let width = code.width();
        let colors = code.to_colors();
        let rows = colors.chunks(width).enumerate();
        let path = rows.map(|(y, row)| runs(row, y + QUIET)).collect();
        Some(Picture { size: width + 2 * QUIET, path })
    }
}

/// Writes the dark runs of a row.
fn runs(row: &[Color], y: usize) -> String {
    let mut path = String::new();
    let mut from = 0;
    for run in row.chunk_by(|one, next| one == next) {
        let (x, length) = (from + QUIET, run.len());
        if run[0] == Color::Dark {
            path += &format!("M{x} {y}h{length}v1h-{length}z");
        }
        from += length;
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_with_its_corners_and_the_quiet_around_it() {
        let picture = Picture::of("https://relay.example/phone.html#ABCDEFGH23456789").unwrap();
        assert_eq!(picture.size, 33 + 8);
        // The upper left corner, seven modules wide, and the ring in it.
        assert!(picture.path.starts_with("M4 4h7v1h-7z"), "{}", picture.path);
        assert!(picture.path.contains("M4 5h1v1h-1z") && picture.path.contains("M10 5h1v1h-1z"));
    }

    #[test]
    fn what_is_too_long_is_not_drawn() {
        assert_eq!(Picture::of(&"a".repeat(3_000)), None);
    }
}
