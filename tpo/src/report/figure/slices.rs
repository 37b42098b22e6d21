//! Figure of gains by a field of the data.

use std::collections::BTreeMap;

use super::{Context, Figure, Point, REFERENCE_COLOUR, Shape};
use crate::report::chart::Axis;
use crate::report::data::QueryData;
use crate::report::stats::mean;
use crate::report::table::Table;

/// The slices that are drawn, those with the most queries. The table has all.
const DRAWN: usize = 20;

/// The gain of the returned answers over the first ones, by the value of a field.
pub(super) fn slices(context: &Context<'_>) -> Figure {
    let mut table =
        Table::new("run,slice,queries,first answer,best,gain,low,high,gain by held-out grades");
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    for query in context.runs.iter().flat_map(|run| &run.queries) {
        *sizes.entry(query.slice.as_deref().unwrap_or_default()).or_default() += 1;
    }
    sizes.remove("");
    let of = |query: &QueryData, slice: &str| query.slice.as_deref() == Some(slice);
    let gain = |query: &QueryData| Some(query.best - query.first().first()?);
    for run in context.runs {
        for slice in sizes.keys() {
            let each = |number: &dyn Fn(&QueryData) -> Option<f64>| {
                run.each(|query| if of(query, slice) { number(query) } else { None })
            };
            let gains = each(&gain);
            let Some(found) = context.bootstrap.mean(&gains) else { continue };
            let names = [run.name.as_str().into(), (*slice).into(), gains.len().into()];
            let rewards = [
                mean(&each(&|query| query.first().first().copied())).into(),
                mean(&each(&|query| Some(query.best))).into(),
            ];
            let held_out = each(&|query| query.held_out.map(|[first, best]| best - first));
            table.row(
                names
                    .into_iter()
                    .chain(rewards)
                    .chain(found.cells())
                    .chain([mean(&held_out).into()]),
            );
        }
    }
    let x = Axis { holds: vec![0.0], ..Axis::new("gain over the first answer") };
    let mut chart = context.chart(x, Axis::default());
    chart.add(String::new(), REFERENCE_COLOUR, Shape::Upright(0.0));
    let mut largest: Vec<(&str, usize)> = sizes.into_iter().collect();
    largest.sort_by_key(|(_, queries)| std::cmp::Reverse(*queries));
    largest.truncate(DRAWN);
    let curves = context.curves();
    for (slice, _) in largest {
        let values = curves.iter().filter_map(|curve| {
            let gains = curve.each(|query| if of(query, slice) { gain(query) } else { None });
            let found = context.bootstrap.mean(&gains)?;
            Some((curve.label.as_str(), curve.colour, Point::along(found)))
        });
        let values: Vec<(&str, usize, Point)> = values.collect();
        if !values.is_empty() {
            chart.add_row(slice.to_owned(), values);
        }
    }
    Figure::new("slices", context, Some(chart), table)
}
