"""Every way `features.yaml` and `models.yaml` can be wrong gives one exact line."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from engine.config import ConfigError, EngineConfig, Problem, load_config

Lines = Callable[..., list[str]]

NAME = "a name of 1 to 63 lower-case letters, digits and underscores that starts with a letter"
PERIOD = "a duration in whole seconds such as 90s, 5m, 24h or 30d, from 1s to 3650d"
WHERE = "action with one action or a list of different ones, 1 to 64 characters each"
LATEST = (
    "found a key that a feature from uploads cannot have; allowed: nothing: its value is the "
    "latest row's"
)
TOO_LONG = "more than the window; allowed: at most the window, 300 s"

HEAD = """\
entities: {user: {key: user_id}, shop: {key: shop_id}}
uploads:
  profiles: {entity: user, entity_key: user_id, time_column: at, columns: {plan: string}}
  stock: {entity: shop, entity_key: shop_id, time_column: at, columns: {items: int64}}
features:
"""


@pytest.mark.parametrize(
    ("feature", "problem"),
    [
        ("5", "features.x: found the number 5; allowed: a mapping"),
        (
            "{}",
            (
                "features.x: found neither of from and expression; allowed: exactly one of from "
                "and expression"
            ),
        ),
        (
            "{from: events, aggregate: count, expression: a + 1}",
            "features.x: found both of them; allowed: exactly one of from and expression",
        ),
        (
            "{from: event, aggregate: count}",
            (
                "features.x.from: found the text 'event'; allowed: events, or uploads.NAME with "
                "the name of a dataset"
            ),
        ),
        (
            "{from: events, aggregate: cuont}",
            (
                "features.x.aggregate: found the text 'cuont'; allowed: count, sum, mean, min, "
                "max, last, first, distinct_count, seconds_since; did you mean count?"
            ),
        ),
        (
            "{from: events, aggregate: count, widnow: 5m}",
            (
                "features.x.widnow: found an unknown key; allowed: from, where, aggregate, column, "
                "window, tile, ttl, type, expression, entity, description; did you mean window?"
            ),
        ),
        (
            "{from: events, aggregate: count, name: y}",
            (
                "features.x.name: found an unknown key; allowed: from, where, aggregate, column, "
                "window, tile, ttl, type, expression, entity, description"
            ),
        ),
        (
            "{from: events}",
            "features.x.aggregate: found nothing; allowed: an aggregate, for a feature from events",
        ),
        (
            "{from: events, aggregate: sum}",
            "features.x.column: found nothing; allowed: value, for the aggregate sum",
        ),
        (
            "{from: events, aggregate: mean, column: action}",
            "features.x.column: found action; allowed: value, for the aggregate mean",
        ),
        (
            "{from: events, aggregate: last, column: actoin}",
            (
                "features.x.column: found actoin; allowed: action or value, for the aggregate "
                "last; did you mean action?"
            ),
        ),
        (
            "{from: events, aggregate: count, column: value}",
            (
                "features.x.column: found a key that the aggregate count cannot have; allowed: "
                "nothing: it looks at no column"
            ),
        ),
        (
            "{from: events, aggregate: count, type: int64}",
            (
                "features.x.type: found a key that a feature from events cannot have; allowed: "
                "nothing: the aggregate decides it"
            ),
        ),
        (
            "{from: events, aggregate: count, window: 5}",
            f"features.x.window: found the number 5; allowed: {PERIOD}",
        ),
        (
            "{from: events, aggregate: count, window: 1500ms}",
            f"features.x.window: found the text '1500ms'; allowed: {PERIOD}",
        ),
        (
            "{from: events, aggregate: count, window: 0s}",
            f"features.x.window: found the text '0s'; allowed: {PERIOD}",
        ),
        (
            "{from: events, aggregate: count, window: 4000d}",
            f"features.x.window: found the text '4000d'; allowed: {PERIOD}",
        ),
        (
            "{from: events, aggregate: count, window: 5m, tile: 1h}",
            f"features.x.tile: found 3600 s, {TOO_LONG}",
        ),
        (
            "{from: events, aggregate: count, tile: 1h}",
            "features.x.tile: found a tile without a window; allowed: a tile beside a window",
        ),
        (
            "{from: events, aggregate: count, window: 1000d, tile: 1m}",
            (
                "features.x.tile: found 60 s, which is 1440000 tiles a window; allowed: at most "
                "10000 tiles a window"
            ),
        ),
        (
            "{from: events, aggregate: count, window: 5m, ttl: 1h}",
            f"features.x.ttl: found 3600 s, {TOO_LONG}",
        ),
        (
            "{from: events, aggregate: count, where: click}",
            f"features.x.where: found the text 'click'; allowed: {WHERE}",
        ),
        (
            "{from: events, aggregate: count, where: {acton: click}}",
            f"features.x.where: found conditions on acton; allowed: {WHERE}",
        ),
        (
            "{from: events, aggregate: count, where: {action: no}}",
            f"features.x.where: found the boolean false; allowed: {WHERE}",
        ),
        (
            "{from: events, aggregate: count, where: {action: []}}",
            f"features.x.where: found an empty list or an action twice; allowed: {WHERE}",
        ),
        (
            "{from: events, aggregate: count, where: {action: [a, a]}}",
            f"features.x.where: found an empty list or an action twice; allowed: {WHERE}",
        ),
        (
            "{from: events, aggregate: count, entity: usr}",
            (
                "features.x.entity: found the unknown entity usr; allowed: shop, user; did you "
                "mean user?"
            ),
        ),
        (
            "{from: events, aggregate: count, entity: shop}",
            (
                "features.x.entity: found shop, whose key is shop_id; allowed: an entity with the "
                "key user_id, as events have"
            ),
        ),
        (
            "{expression: a + 1, window: 5m}",
            (
                "features.x.window: found a key that an expression cannot have; allowed: nothing: "
                "its features have them"
            ),
        ),
        (
            "{expression: ''}",
            "features.x.expression: found the text ''; allowed: 1 to 1000 characters on one line",
        ),
        (
            "{expression: 5}",
            (
                "features.x.expression: found the number 5; allowed: 1 to 1000 characters on one "
                "line; text that YAML reads otherwise goes in quotes"
            ),
        ),
        (
            "{from: uploads.profiles, column: plan, window: 5m}",
            f"features.x.window: {LATEST}",
        ),
        (
            "{from: uploads.profiles, column: plan, aggregate: last}",
            f"features.x.aggregate: {LATEST}",
        ),
        (
            "{from: uploads.profiles}",
            "features.x.column: found nothing; allowed: a column of the dataset",
        ),
        (
            "{from: uploads.profiles, column: paln}",
            "features.x.column: found the unknown column paln; allowed: plan; did you mean plan?",
        ),
        (
            "{from: uploads.profiles, column: plan, type: int64}",
            (
                "features.x.type: found int64, though the dataset declares string; allowed: "
                "string, or nothing"
            ),
        ),
        (
            "{from: uploads.profile, column: plan}",
            (
                "features.x.from: found the unknown dataset profile; allowed: events, "
                "uploads.profiles, uploads.stock; did you mean uploads.profiles?"
            ),
        ),
        (
            "{from: uploads.stock, column: items}",
            "features.x.entity: found user, though uploads.stock is about shop; allowed: shop",
        ),
    ],
)
def test_unfit_feature_is_reported(problems: Lines, feature: str, problem: str) -> None:
    found = problems({"features.yaml": f"{HEAD}  x: {feature}", "models.yaml": "models: {}"})
    assert found == [f"features.yaml:6: {problem}"]


@pytest.mark.parametrize("name", ["X", "5x", "_x", "x-y", "x" * 64, "é"])
def test_feature_needs_a_plain_name(problems: Lines, name: str) -> None:
    text = f"{HEAD}  {name}: {{from: events, aggregate: count}}"
    found = problems({"features.yaml": text, "models.yaml": "models: {}"})
    assert len(found) == 1
    assert found[0].startswith(f"features.yaml:6: features.{name}: found the text ")
    assert found[0].endswith(f"; allowed: {NAME}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "entities: {user: {}}\nfeatures: {}",
            [f"features.yaml:1: entities.user.key: found nothing; allowed: {NAME}"],
        ),
        (
            "entities: {user: {key: user_id, type: string}}\nfeatures: {}",
            ["features.yaml:1: entities.user.type: found the text 'string'; allowed: int64"],
        ),
        ("entities: {}", ["features.yaml: features: found nothing; allowed: a mapping"]),
        (
            "entities: {}\nfeatures: []",
            ["features.yaml:2: features: found a list; allowed: a mapping"],
        ),
        (
            "entities: {}\nfeatures: {}\nfeature: {}",
            [
                (
                    "features.yaml:3: feature: found an unknown key; allowed: entities, uploads, "
                    "features; did you mean features?"
                )
            ],
        ),
        (
            (
                "entities: {user: {key: user_id}}\nfeatures: {}\nuploads:\n"
                "  p: {entity: usr, entity_key: k, time_column: k, columns: {}}"
            ),
            [
                (
                    "features.yaml:4: uploads.p.entity: found the unknown entity usr; allowed: "
                    "user; did you mean user?"
                ),
                "features.yaml:4: uploads.p.columns: found nothing; allowed: one column at least",
                (
                    "features.yaml:4: uploads.p.time_column: found the column of entity_key; "
                    "allowed: another column"
                ),
            ],
        ),
        (
            (
                "entities: {user: {key: user_id}}\nfeatures: {}\nuploads:\n"
                "  p: {entity: usr, entity_key: k, time_column: t, columns: {k: int64, a: txt}}"
            ),
            [
                (
                    "features.yaml:4: uploads.p.columns.a: found the text 'txt'; allowed: int64, "
                    "double, string, bool"
                ),
                (
                    "features.yaml:4: uploads.p.entity: found the unknown entity usr; allowed: "
                    "user; did you mean user?"
                ),
            ],
        ),
    ],
)
def test_unfit_entities_uploads_and_sections_are_reported(
    problems: Lines, text: str, expected: list[str]
) -> None:
    assert problems({"features.yaml": text, "models.yaml": "models: {}"}) == expected


@pytest.mark.parametrize(
    ("model", "problem"),
    [
        ("[]", ": found a list; allowed: a mapping"),
        ("{entity: user}", ".features: found nothing; allowed: a list"),
        ("{features: [n]}", f".entity: found nothing; allowed: {NAME}"),
        ("{entity: user, features: n}", ".features: found the text 'n'; allowed: a list"),
        (
            "{entity: user, features: []}",
            ".features: found an empty list; allowed: one feature at least",
        ),
        (
            "{entity: user, features: [n, 5]}",
            (
                f".features[1]: found the number 5; allowed: {NAME}; text that YAML reads "
                "otherwise goes in quotes"
            ),
        ),
        (
            "{entity: user, features: [clicks, n, click]}",
            (
                ".features[2]: found the unknown feature click; allowed: a feature of "
                "features.yaml; did you mean clicks?"
            ),
        ),
        (
            "{entity: user, features: [n, n]}",
            ".features[1]: found n a second time; allowed: each feature once",
        ),
        (
            "{entity: user, features: [items]}",
            ".features[0]: found items, a feature of shop; allowed: a feature of user",
        ),
        (
            "{entity: users, features: [n]}",
            ".entity: found the unknown entity users; allowed: user, shop; did you mean user?",
        ),
        (
            "{entity: user, features: [n], labels: x}",
            (
                ".labels: found an unknown key; allowed: entity, features, description, label, "
                "estimator, observations, split, drift, policy, log_share; did you mean label?"
            ),
        ),
        (
            "{entity: user, features: [n], label: {}}",
            (
                ".label.within: found nothing; allowed: a duration in whole seconds such as 90s, "
                "5m, 24h or 30d, from 1s to 3650d"
            ),
        ),
        (
            "{entity: user, features: [n], label: {within: 1d, column: items}}",
            ".label.column: found items; allowed: none, for a label from events",
        ),
        (
            "{entity: user, features: [n], label: {within: 1d, from: uploads.stok}}",
            (
                ".label.from: found the unknown dataset stok; allowed: a dataset of "
                "features.yaml; did you mean stock?"
            ),
        ),
        (
            "{entity: shop, features: [items], label: {within: 1d, from: uploads.stock}}",
            ".label.column: found nothing; allowed: items",
        ),
        (
            (
                "{entity: shop, features: [items], "
                "label: {within: 1d, from: uploads.stock, column: item}}"
            ),
            (".label.column: found the unknown column item; allowed: items; did you mean items?"),
        ),
        (
            "{entity: user, features: [n], estimator: {class: Ridge}}",
            ".estimator: found an estimator; allowed: none, for a model without a label",
        ),
        (
            "{entity: user, features: [n], label: {within: 1d}, estimator: {class: Ridge}}",
            (
                ".estimator.class: found Ridge, for regression; allowed: one for "
                "classification: LogisticRegression, GaussianNB, DecisionTreeClassifier, "
                "RandomForestClassifier, HistGradientBoostingClassifier"
            ),
        ),
        (
            (
                "{entity: user, features: [n], label: {within: 1d}, "
                "estimator: {class: GaussianNB, parameters: {var_smoothin: 1}}}"
            ),
            (
                ".estimator.parameters.var_smoothin: found a parameter that GaussianNB does not "
                "take; allowed: var_smoothing; did you mean var_smoothing?"
            ),
        ),
        (
            "{entity: user, features: [n], label: {within: 1d}, policy: {metric: rmse}}",
            (
                ".policy.metric: found rmse, which is not for classification; allowed: roc_auc, "
                "average_precision, log_loss, brier, accuracy, f1"
            ),
        ),
    ],
)
def test_unfit_model_is_reported(problems: Lines, model: str, problem: str) -> None:
    features = (
        f"{HEAD}  n: {{from: events, aggregate: count}}\n"
        "  clicks: {from: events, aggregate: count}\n"
        "  items: {from: uploads.stock, column: items, entity: shop}\n"
    )
    found = problems({"features.yaml": features, "models.yaml": f"models: {{m: {model}}}"})
    assert found == [f"models.yaml:1: models.m{problem}"]


def test_reference_to_a_faulty_definition_is_not_reported_again(problems: Lines) -> None:
    features = f"{HEAD}  x: {{from: events, aggregate: cuont}}\n"
    models = "models: {m: {entity: user, features: [x]}}"
    found = problems({"features.yaml": features, "models.yaml": models})
    assert [line.split(": found")[0] for line in found] == ["features.yaml:6: features.x.aggregate"]


def test_models_are_not_judged_on_features_that_could_not_be_read(problems: Lines) -> None:
    found = problems({"features.yaml": "features: [}"})
    assert [line.split(" ")[0] for line in found] == ["features.yaml:1:"]


def test_extra_checks_see_what_is_sound_and_add_their_problems(config_dir: Path) -> None:
    (config_dir / "app.yaml").write_text("log: {level: loud}")
    (config_dir / "features.yaml").write_text(
        f"{HEAD}"
        "  bad: {from: events, aggregate: cuont}\n"
        "  good: {from: events, aggregate: count}\n"
        "  over_bad: {expression: bad + 1}\n"
        "  over_over_bad: {expression: over_bad + good}\n"
        "  over_unknown: {expression: unknown + good}\n"
    )
    (config_dir / "models.yaml").write_text("models: {}")
    seen = []

    def check(config: EngineConfig) -> Sequence[Problem]:
        seen.extend(config.features.features)
        return [Problem("features.yaml", "features.over_unknown.expression", "x", "y")]

    with pytest.raises(ConfigError) as caught:
        load_config(config_dir, None, [], {}, extra_checks=[check])
    # An expression over a faulty feature is held back: it would seem to refer to nothing.
    assert seen == ["good", "over_unknown"]
    assert [str(problem).split(": found")[0] for problem in caught.value.problems] == [
        "app.yaml:1: log.level",
        "features.yaml:6: features.bad.aggregate",
        "features.yaml:10: features.over_unknown.expression",
    ]


def test_merged_errors_hold_each_problem_once() -> None:
    first, second = Problem("a", "k", "x", "y"), Problem("b", "", "x", "y", "z", 3)
    merged = ConfigError.merge([ConfigError([first]), ConfigError([second, first])])
    assert merged.problems == (first, second)
    assert str(merged) == "a: k: found x; allowed: y\nb:3: found x; allowed: y; did you mean z?"
