use super::*;

fn problems_of(text: &str) -> Vec<String> {
    let read = read(text, |root| {
        root.required("name", "\"x\"");
        root.integer("count", 1..=3_u32, 1);
        root.duration("every", POSITIVE, Duration::from_secs(1));
        root.choice("mode", &[("fast", 1), ("slow", 2)], 1);
        root.strings("list");
        root.string_map("map");
        let mut inner = root.section("inner");
        inner.string("word");
        inner.finish();
        for mut item in root.sections("item") {
            item.string("word");
            item.finish();
        }
        Some(())
    });
    read.err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

#[test]
fn collects_every_mistake_in_the_order_of_lines() {
    let text = "count = 9\nevery = \"soon\"\nmode = \"medium\"\nlist = [1]\nmap = { a = 1 }\nnmae = \"x\"\n\
                [inner]\nwrod = \"x\"\n[[item]]\nword = 1\nzzz = 1\n";
    assert_eq!(
        problems_of(text),
        [
            "name: missing; write e.g. `name = \"x\"`",
            "line 1: count: 9 is out of range: it must be from 1 to 3",
            "line 2: every: \"soon\" is not a duration; write e.g. \"500ms\", \"30s\" or \"1m 30s\"",
            "line 3: mode: \"medium\" is not one of \"fast\", \"slow\"",
            "line 4: list: expected a list of texts, e.g. [\"a\", \"b\"], found the number 1",
            "line 5: map.a: expected a text in quotes, found the number 1",
            "line 6: nmae: unknown key; did you mean `name`?",
            "line 8: inner.wrod: unknown key; did you mean `word`?",
            "line 10: item[0].word: expected a text in quotes, found the number 1",
            "line 11: item[0].zzz: unknown key; allowed here: word",
        ]
    );
}

#[test]
fn zero_is_not_a_positive_duration() {
    assert_eq!(
        problems_of("name = \"x\"\nevery = \"0s\""),
        ["line 2: every: \"0s\" is out of range: it must be from 1ms to 30days"]
    );
}

#[test]
fn says_where_a_text_is_not_toml() {
    let problems = problems_of("name = \"x\"\ncount = = 1\n");
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("line 2: not TOML: "), "{problems:?}");
}
