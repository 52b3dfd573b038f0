//! SVG, and PNG made from it. Fonts are embedded, so that the same picture gives the same bytes everywhere.

use std::fmt::Write as _;
use std::sync::Arc;

use super::layout::{self, Direction, Layout, Rect};
use super::picture::{Picture, Shape};
use crate::model::cloud::Provider;

const FONT: &str = "Helvetica, Arial, 'Liberation Sans', sans-serif";
const MARGIN: f64 = 16.0;

/// Escapes text for XML; characters that XML forbids become visible.
pub fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push('\u{25a1}')
            }
            c => out.push(c),
        }
    }
    out
}

/// Draws a picture as SVG.
///
/// # Errors
/// The layout engine's message.
pub fn render(p: &Picture, direction: Direction) -> Result<String, String> {
    let l = layout::layout(p, direction)?;
    let mut shapes: Vec<Shape> = p.boxes.iter().map(|b| b.shape).collect();
    shapes.sort();
    shapes.dedup();
    let caption = layout::wrap(&p.caption, ((l.width.max(420.0)) / 8.0) as usize);
    let legend_rows = 1.0 + (shapes.len() as f64 * 105.0 / l.width.max(420.0)).floor();
    let width = l.width.max(420.0) + 2.0 * MARGIN;
    let height = l.height + 3.0 * MARGIN + 18.0 * caption.len() as f64 + 24.0 * legend_rows;
    let mut s = String::new();
    let _ = writeln!(
        s,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0}" height="{height:.0}" viewBox="0 0 {width:.0} {height:.0}" font-family="{FONT}">"##
    );
    let _ = writeln!(
        s,
        r##"<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="9" markerHeight="9" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10z" fill="#B3002D"/></marker></defs>"##
    );
    if p.arrows.iter().any(|a| !a.strong) {
        let _ = writeln!(
            s,
            r##"<defs><marker id="b" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10z" fill="#444444"/></marker></defs>"##
        );
    }
    let _ = writeln!(
        s,
        r##"<rect width="100%" height="100%" fill="#FFFFFF"/><g transform="translate({MARGIN} {MARGIN})">"##
    );
    for (title, r) in &l.clusters {
        let line = match Provider::ALL.iter().any(|p| title.starts_with(p.account())) {
            true => r##"stroke="#00664B" stroke-width="1.6""##,
            false => r##"stroke="#555555" stroke-dasharray="5 3""##,
        };
        let _ = writeln!(
            s,
            r##"<rect x="{:.1}" y="{:.1}" width="{:.1}" height="{:.1}" rx="4" fill="#F4F4F4" {line}/>"##,
            r.x, r.y, r.w, r.h
        );
        let _ = writeln!(
            s,
            r##"<text x="{:.1}" y="{:.1}" font-size="11" fill="#111111">{}</text>"##,
            r.x + 8.0,
            r.y + 14.0,
            escape(title)
        );
    }
    arrows(&mut s, p, &l);
    for (b, r) in p.boxes.iter().zip(&l.boxes) {
        shape(&mut s, b.shape, *r);
        let (_, _, ink) = b.shape.colors();
        let lines = layout::wrap(&b.name, 22);
        let cx = r.x + r.w / 2.0;
        let mut y = r.y + if b.shape == Shape::And { 21.0 } else { 16.0 };
        if !b.kind.is_empty() {
            let _ = writeln!(
                s,
                r##"<text x="{cx:.1}" y="{y:.1}" font-size="9.5" text-anchor="middle" fill="{ink}">{}</text>"##,
                escape(&b.kind)
            );
            y += 14.0;
        } else if b.shape != Shape::And {
            y += 3.0;
        }
        let size = if b.shape == Shape::And { 10 } else { 12 };
        for line in lines {
            let _ = writeln!(
                s,
                r##"<text x="{cx:.1}" y="{y:.1}" font-size="{size}" font-weight="bold" text-anchor="middle" fill="{ink}">{}</text>"##,
                escape(&line)
            );
            y += 15.0;
        }
    }
    labels(&mut s, p, &l);
    let mut y = l.height + MARGIN + 14.0;
    for line in &caption {
        let _ = writeln!(
            s,
            r##"<text x="0" y="{y:.1}" font-size="14" font-weight="bold" fill="#111111">{}</text>"##,
            escape(line)
        );
        y += 18.0;
    }
    let (mut x, mut y) = (0.0, y);
    for k in shapes {
        if x + 105.0 > l.width.max(420.0) {
            x = 0.0;
            y += 24.0;
        }
        shape(&mut s, k, Rect { x, y: y - 6.0, w: 22.0, h: 16.0 });
        let _ = writeln!(
            s,
            r##"<text x="{:.1}" y="{:.1}" font-size="10" fill="#111111">{}</text>"##,
            x + 34.0,
            y + 6.0,
            k.word()
        );
        x += 105.0;
    }
    s.push_str("</g></svg>\n");
    Ok(s)
}

fn shape(s: &mut String, k: Shape, r: Rect) {
    let (fill, line, _) = k.colors();
    let Rect { x, y, w, h } = r;
    let common = format!(r##"fill="{fill}" stroke="{line}""##);
    let _ = match k {
        Shape::Attacker => writeln!(
            s,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="{:.1}" {common}/>"##,
            h / 2.0
        ),
        Shape::Workload => writeln!(
            s,
            r##"<rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="7" {common} stroke-width="1.4"/>"##
        ),
        Shape::Group => writeln!(
            s,
            r##"<rect x="{:.1}" y="{:.1}" width="{w:.1}" height="{h:.1}" rx="7" {common}/><rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" rx="7" {common}/>"##,
            x + 3.0,
            y + 3.0
        ),
        Shape::Identity => writeln!(s, r##"<rect x="{x:.1}" y="{y:.1}" width="{w:.1}" height="{h:.1}" {common}/>"##),
        Shape::Target => {
            let c = 9.0_f64.min(h / 3.0);
            let octagon = |i: f64| {
                format!(
                    "M{:.1} {:.1}H{:.1}L{:.1} {:.1}V{:.1}L{:.1} {:.1}H{:.1}L{:.1} {:.1}V{:.1}Z",
                    x + c,
                    y + i,
                    x + w - c,
                    x + w - i,
                    y + c,
                    y + h - c,
                    x + w - c,
                    y + h - i,
                    x + c,
                    x + i,
                    y + h - c,
                    y + c
                )
            };
            writeln!(
                s,
                r##"<path d="{}" {common} stroke-width="2.2"/><path d="{}" fill="none" stroke="#FFFFFF"/>"##,
                octagon(0.0),
                octagon(3.0)
            )
        }
        Shape::Node => writeln!(
            s,
            r##"<path d="M{x:.1} {:.1}l6 -6h{w:.1}v{h:.1}l-6 6h-{w:.1}z" {common}/><path d="M{x:.1} {:.1}h{w:.1}l6 -6M{:.1} {:.1}v{h:.1}" fill="none" stroke="{line}"/>"##,
            y + 3.0,
            y + 3.0,
            x + w,
            y + 3.0
        ),
        Shape::Permission => writeln!(
            s,
            r##"<path d="M{x:.1} {y:.1}H{:.1}l8 8V{:.1}H{x:.1}Z" {common}/><path d="M{:.1} {y:.1}v8h8" fill="none" stroke="{line}"/>"##,
            x + w - 8.0,
            y + h,
            x + w - 8.0
        ),
        Shape::And => {
            writeln!(s, r##"<circle cx="{:.1}" cy="{:.1}" r="{:.1}" {common}/>"##, x + w / 2.0, y + h / 2.0, h / 2.0)
        }
    };
}

fn arrows(s: &mut String, p: &Picture, l: &Layout) {
    for (a, (points, _)) in p.arrows.iter().zip(&l.arrows) {
        let Some((first, rest)) = points.split_first() else { continue };
        let mut d = format!("M{:.1} {:.1}", first.0, first.1);
        let mut chunks = rest.chunks_exact(3);
        for c in &mut chunks {
            if let [p1, p2, p3] = c {
                let _ = write!(d, "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}", p1.0, p1.1, p2.0, p2.1, p3.0, p3.1);
            }
        }
        for q in chunks.remainder() {
            let _ = write!(d, "L{:.1} {:.1}", q.0, q.1);
        }
        let (color, width, head) = if a.strong { ("#B3002D", "2", "a") } else { ("#444444", "1.3", "b") };
        let dash = if a.unknown { r##" stroke-dasharray="2 4""## } else { "" };
        let _ = writeln!(
            s,
            r##"<path d="{d}" fill="none" stroke="{color}" stroke-width="{width}"{dash} marker-end="url(#{head})"/>"##
        );
    }
}

fn labels(s: &mut String, p: &Picture, l: &Layout) {
    for (a, (_, place)) in p.arrows.iter().zip(&l.arrows) {
        let Some((x, y)) = place else { continue };
        let lines = layout::wrap(&if a.unknown { format!("{} ?", a.label) } else { a.label.clone() }, 18);
        let top = y - 6.0 * lines.len() as f64 + 9.0;
        for (n, line) in lines.iter().enumerate() {
            let at = top + 12.0 * n as f64;
            let _ = writeln!(
                s,
                r##"<text x="{x:.1}" y="{at:.1}" font-size="10" font-weight="bold" text-anchor="middle" fill="#111111" stroke="#FFFFFF" stroke-width="3" paint-order="stroke">{}</text>"##,
                escape(line)
            );
        }
    }
}

/// Rasterizes an SVG at twice its size.
///
/// # Errors
/// The rasterizer's message.
pub fn png(svg: &str) -> Result<Vec<u8>, String> {
    use resvg::{tiny_skia, usvg};
    let mut fonts = usvg::fontdb::Database::new();
    fonts.load_font_data(include_bytes!("assets/LiberationSans-Regular.ttf").to_vec());
    fonts.load_font_data(include_bytes!("assets/LiberationSans-Bold.ttf").to_vec());
    fonts.set_sans_serif_family("Liberation Sans");
    let options =
        usvg::Options { fontdb: Arc::new(fonts), font_family: "Liberation Sans".into(), ..usvg::Options::default() };
    let tree = usvg::Tree::from_str(svg, &options).map_err(|e| e.to_string())?;
    let (w, h) = ((tree.size().width() * 2.0).ceil() as u32, (tree.size().height() * 2.0).ceil() as u32);
    let mut map = tiny_skia::Pixmap::new(w, h).ok_or_else(|| format!("a picture of {w} x {h} pixels is too large"))?;
    resvg::render(&tree, tiny_skia::Transform::from_scale(2.0, 2.0), &mut map.as_mut());
    map.encode_png().map_err(|e| e.to_string())
}
