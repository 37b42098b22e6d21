use super::*;

/// Sixty comparisons that were made up by a formula, longer outputs winning more often.
fn annotations() -> Vec<Annotation> {
    let annotation = |i: usize| {
        let (one, two, noise) = (50 + i * 37 % 211, 50 + i * 53 % 307, i * 29 % 201);
        Annotation {
            instruction: format!("instruction {i}"),
            // Lengths are of letters, not of bytes.
            output_1: "ä".repeat(one),
            generator_1: "reference".to_owned(),
            output_2: "x".repeat(two),
            generator_2: "model".to_owned(),
            annotator: "judge".to_owned(),
            preference: (i % 13 != 7)
                .then(|| 1.0 + (two + noise + 60) as f64 / (one + two + 260) as f64),
            ..Annotation::default()
        }
    };
    (0..60).map(annotation).collect()
}

/// Two models of altered lengths, made up too, as the authors' file has them.
fn gamed() -> String {
    let mut text =
        "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n"
            .to_owned();
    for model in 0..2_u8 {
        for i in 0..60_u32 {
            let preference = f64::from(5 * u32::from(1 - model) + i * 7 % 11) / 16.0;
            let side = if model == 0 { -1.2 } else { 1.2 };
            let length = side + (f64::from(i * 11 % 13) - 6.0) / 10.0;
            let difficulty = f64::from(i * 17 % 31) / 10.0 - 1.5;
            text.push_str(&format!("m{model},{i},{preference},{length},{difficulty},False\n"));
        }
    }
    text
}

fn controlled(control: &LengthControl, annotations: &[Annotation]) -> LengthControlled {
    control.win_rate(annotations.iter().enumerate()).unwrap().unwrap()
}

/// The figures that the official program (0.6.6, with scikit-learn 1.9.1) gives for the same texts.
#[test]
fn the_official_programs_figures_come_out() {
    let annotations = annotations();
    let rate = controlled(&LengthControl::read("f", &gamed()).unwrap(), &annotations);
    assert!((rate.win_rate - 51.7070).abs() < 0.002, "{rate:?}");
    assert!((rate.standard_error - 0.23280).abs() < 0.0002, "{rate:?}");
    let expected = [-0.53074, 0.08023, 0.07000];
    for (coefficient, expected) in rate.coefficients.iter().zip(expected) {
        assert!((coefficient - expected).abs() < 0.0002, "{rate:?}");
    }
    assert!((rate.inverse_penalty - 10_000.0).abs() < 1e-6, "{rate:?}");
    // Its solver stops early enough that another penalty seems best, by a hair.
    let rate = controlled(&LengthControl::minimal(), &annotations);
    assert!((rate.win_rate - 53.9301).abs() < 0.02, "{rate:?}");
    let preferences: Vec<Option<f64>> = annotations.iter().map(|a| a.preference).collect();
    let plain = super::super::win_rate(&preferences).unwrap().unwrap();
    assert!((plain.win_rate - 56.3200).abs() < 1e-4, "{plain:?}");
    assert!((plain.standard_error - 1.59084).abs() < 1e-5, "{plain:?}");
}

#[test]
fn what_the_judge_did_not_decide_is_expected_too() {
    let annotations = annotations();
    let control = LengthControl::read("f", &gamed()).unwrap();
    let rate = controlled(&control, &annotations);
    assert_eq!(rate.preferences.len(), 60);
    assert_eq!(annotations[7].preference, None);
    // The instruction of position 38 is as difficult as that of position 7.
    assert!((rate.preferences[7] - rate.preferences[38]).abs() < 1e-12);
}

#[test]
fn difficulties_go_by_the_place_in_the_set() {
    let (annotations, control) = (annotations(), LengthControl::read("f", &gamed()).unwrap());
    assert_eq!((control.name(), control.instructions()), ("length_controlled_v1", Some(60)));
    let half = || (0..).zip(&annotations).filter(|(position, _)| position % 2 == 1);
    let rate = control.win_rate(half()).unwrap().unwrap();
    let [_, difficulty, model] = rate.coefficients;
    let expected = |position: usize| {
        let known = (position * 17 % 31) as f64 / 10.0 - 1.5;
        1.0 / (1.0 + (-(model + difficulty * known)).exp())
    };
    for ((position, _), preference) in half().zip(&rate.preferences) {
        assert!((preference - expected(position)).abs() < 1e-12, "{position}");
    }
    let beyond = half().map(|(position, annotation)| (position + 30, annotation));
    let error = control.win_rate(beyond).unwrap_err().to_string();
    assert!(error.starts_with("instruction 62: expected one of the 60 instructions"), "{error}");
}

#[test]
fn nothing_to_fit_is_distinguished_from_a_figure() {
    let mut annotations = annotations();
    let control = LengthControl::minimal();
    assert_eq!(control.win_rate(annotations.iter().take(4).enumerate()).unwrap(), None);
    assert_eq!(control.win_rate([]).unwrap(), None);
    for annotation in &mut annotations {
        annotation.output_1 = "x".repeat(annotation.output_2.len() + 10);
    }
    let rate = controlled(&control, &annotations);
    assert!((rate.win_rate - 56.32).abs() < 0.5 && rate.coefficients[0] == 0.0, "{rate:?}");
    for annotation in &mut annotations {
        annotation.generator_2 = annotation.generator_1.clone();
    }
    assert_eq!(controlled(&control, &annotations).win_rate, 50.0);
}

#[test]
fn a_wrong_file_is_refused_with_its_position() {
    let read = |text: &str| LengthControl::read("df_gamed.csv", text).unwrap_err().to_string();
    let head = "index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline\n";
    let line = |line: &str| read(&format!("{head}0,0.5,0.1,0.2,False\n{line}\n"));
    assert!(line("1,1.5,0.1,0.2,False").contains("record 2: expected a preference from 0 to 1"));
    assert!(line("1,0.5,nan,0.2,False").contains("record 2: expected finite numbers, got NaN"));
    assert!(line("1,0.5,0.1,0.2,no").contains("expected True or False, got \"no\""));
    assert!(line("2,0.5,0.1,0.2,True").contains("expected a line for each instruction"));
    assert!(
        line("99999999999,0.5,0.1,0.2,True").contains("expected the position of an instruction")
    );
    assert!(read(head).contains("expected a line for each instruction"));
    assert!(read("instruction,difficulty\na,1\n").contains("record 1: "));
    let without = format!("{head}0,,0.1,0.2,False\n");
    assert_eq!(LengthControl::read("f", &without).unwrap().instructions(), Some(1));
}
