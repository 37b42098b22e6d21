//! Figure of grades by a reward model that had no part in the search.

use super::{Context, Figure, Point, REFERENCE_COLOUR, Shape};
use crate::report::chart::Axis;
use crate::report::data::QueryData;
use crate::report::stats::mean;
use crate::report::table::Table;

/// The gain of the returned answers over the first ones, by held-out grades and by the score of the search.
pub(super) fn held_out(context: &Context<'_>) -> Figure {
    let mut table = Table::new(
        "run,held-out reward model,queries,first answer,returned answer,gain,low,high,gain by the search's reward",
    );
    let x = Axis {
        holds: vec![0.0],
        ..Axis::new("gain over the first answer, by the held-out reward model")
    };
    let mut chart = context.chart(x, Axis::default());
    chart.simulated |= context.runs.iter().any(|run| run.held_out.as_ref().is_some_and(|by| by.1));
    chart.add(String::new(), REFERENCE_COLOUR, Shape::Upright(0.0));
    let gain = |query: &QueryData| query.held_out.map(|[first, best]| best - first);
    for run in context.runs {
        let Some((reward, _)) = &run.held_out else { continue };
        let Some(found) = context.bootstrap.mean(&run.each(gain)) else { continue };
        let graded = |at: fn([f64; 2]) -> f64| mean(&run.each(|query| query.held_out.map(at)));
        let own = run.each(|query| {
            let first = query.held_out.and(query.first().first())?;
            Some(query.best - first)
        });
        let names = [run.name.as_str().into(), reward.as_str().into()];
        let cells = [
            run.each(gain).len().into(),
            graded(|grades| grades[0]).into(),
            graded(|grades| grades[1]).into(),
        ];
        let own = mean(&own).into();
        table.row(names.into_iter().chain(cells).chain(found.cells()).chain([own]));
    }
    for curve in context.curves() {
        if let Some(found) = context.bootstrap.mean(&curve.each(gain)) {
            chart.add_row(curve.label.clone(), vec![("gain", 0, Point::along(found))]);
        }
    }
    Figure::new("held-out", context, Some(chart), table)
}
