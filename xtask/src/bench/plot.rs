//! A plot for each table that has several places: both axes logarithmic, one line a series, so that
//! what grows in proportion is a straight line up and what does not grow lies flat.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Range;
use std::path::Path;

use plotters::prelude::*;

use super::figures::{Table, Tables, is_floor};
use crate::run::Outcome;

/// Names of files, by work.
pub(super) type Plots = BTreeMap<String, String>;

const SIZE: (u32, u32) = (760, 420);

/// Draws anew what `folder` holds.
pub(super) fn draw(tables: &Tables, folder: &Path) -> Outcome<Plots> {
    let told = |problem: std::io::Error| format!("{}: {problem}", folder.display());
    match fs::remove_dir_all(folder) {
        Err(problem) if problem.kind() != std::io::ErrorKind::NotFound => {
            return Err(told(problem));
        }
        _ => {}
    }
    fs::create_dir_all(folder).map_err(told)?;
    let mut plots = Plots::new();
    for (work, table) in &tables.0 {
        if table.places.len() > 1 {
            let name = format!("{}.svg", spelled(work));
            let mut svg = String::new();
            plot(work, table, &mut svg).map_err(|problem| format!("{work}: {problem}"))?;
            fs::write(folder.join(&name), svg).map_err(told)?;
            plots.insert(work.clone(), name);
        }
    }
    Ok(plots)
}

/// A file's name for `work`.
fn spelled(work: &str) -> String {
    let mut name = String::new();
    for letter in work.to_lowercase().chars() {
        match letter {
            'a'..='z' | '0'..='9' => name.push(letter),
            _ if !name.ends_with('-') => name.push('-'),
            _ => {}
        }
    }
    name.trim_matches('-').to_owned()
}

fn plot(work: &str, table: &Table, svg: &mut String) -> Result<(), Box<dyn std::error::Error>> {
    #[expect(clippy::cast_precision_loss, reason = "a place on a picture")]
    let points = |name: &str| -> Vec<(f64, f64)> {
        let at =
            |(at, series): (&u64, &BTreeMap<String, f64>)| Some((*at as f64, *series.get(name)?));
        table.places.iter().filter_map(at).collect()
    };
    let names = table.series();
    let all: Vec<_> = names.iter().flat_map(|name| points(name)).collect();
    let x = range(all.iter().map(|point| point.0), 1.2);
    let y = range(all.iter().map(|point| point.1), 2.0);
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(work, ("sans-serif", 18))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(72)
        .build_cartesian_2d(x.log_scale(), y.log_scale())?;
    chart
        .configure_mesh()
        .x_desc(table.by.as_str())
        .y_desc(table.unit.as_str())
        .x_label_formatter(&|at| short(*at))
        .y_label_formatter(&|figure| short(*figure))
        .draw()?;
    for (index, name) in names.iter().enumerate() {
        let color = Palette99::pick(index).to_rgba();
        let width = if is_floor(name) { 1 } else { 2 };
        chart
            .draw_series(LineSeries::new(points(name), color.stroke_width(width)).point_size(3))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
    }
    chart
        .configure_series_labels()
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}

/// From the least to the most, with room around; a logarithm has none at nothing.
fn range(values: impl Iterator<Item = f64>, room: f64) -> Range<f64> {
    let (least, most) = values
        .filter(|value| *value > 0.0)
        .fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| {
            (least.min(value), most.max(value))
        });
    least.min(most) / room..most * room
}

fn short(number: f64) -> String {
    match number {
        1e6.. => format!("{} M", number / 1e6),
        1e3.. => format!("{} k", number / 1e3),
        _ => format!("{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_of_several_places_is_drawn() {
        let mut tables = Tables::default();
        for (at, ours, floor) in [(1, 900.0, 1_000.0), (64, 40_000.0, 800.0)] {
            tables.note("r, s", "r/s", ("callers", at), ("sheen", ours));
            tables.note("r, s", "r/s", ("callers", at), ("floor: by hand", floor));
        }
        let mut svg = String::new();
        plot("r, s", &tables.0["r, s"], &mut svg).unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in ["callers", "r/s", "sheen", "floor: by hand"] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(
            spelled("R, s on 10,000 accounts!"),
            "r-s-on-10-000-accounts"
        );
        assert_eq!(short(2_500.0), "2.5 k");
        assert_eq!(range([5.0, 1.0].into_iter(), 2.0), 0.5..10.0);
    }
}
