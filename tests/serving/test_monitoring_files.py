"""Prometheus and Grafana ask for metrics that the server has, where it has them."""

import json
import re

import pytest
import yaml

from cmnas_tf.serving.exported_model import MODEL_NAME
from tests.serving.test_kubernetes_files import POD, PORTS
from tests.serving.test_serving_files import FOLDER

# The labels of each metric. tensorflow/serving, tag 2.15.1: servables/tensorflow/util.cc; names and
# buckets as in util/prometheus_exporter.cc. The attempts: cc/saved_model/loader.cc of TensorFlow.
METRICS = {
    ":tensorflow:serving:request_count": {"model_name", "status"},
    ":tensorflow:serving:request_latency_bucket": {"model_name", "API", "entrypoint", "le"},
    ":tensorflow:serving:runtime_latency_bucket": {"model_name", "API", "runtime", "le"},
    ":tensorflow:cc:saved_model:load_attempt_count": {"model_path", "status"},
    "up": set(),  # of Prometheus itself
}
FUNCTIONS = {"sum", "absent", "rate", "increase", "histogram_quantile"}
TARGET = {"job", "instance"}  # labels that Prometheus gives to all that it reads

SCRAPE = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
(JOB,) = SCRAPE["scrape_configs"]
(GROUP,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for rule in GROUP["rules"]}
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
EXPRESSIONS = {
    **{name: rule["expr"] for name, rule in ALERTS.items()},
    **{
        f"{title} {target['refId']}": target["expr"]
        for title, panel in PANELS.items()
        for target in panel["targets"]
    },
}

SELECTOR = re.compile(r"(?:(rate|increase)\()?([\w:]+)\{([^{}]*)\}(\[\d+m\])?(?: offset \d+m)?")
MATCHER = re.compile(r'\s*(\w+)(?:=|!=|=~|!~)""\s*')


def check_expression(expression):
    """It is PromQL as far as this can see, of metrics, labels and functions that are known."""
    text = re.sub(r'"[^"]*"', '""', expression.replace("$__rate_interval", "5m"))
    check_brackets(text)
    labels = set()
    for function, metric, matchers, span in SELECTOR.findall(text):
        assert metric in METRICS, metric
        found = [MATCHER.fullmatch(matcher) for matcher in matchers.split(",")]
        assert all(found), matchers
        asked = {matcher[1] for matcher in found}
        assert "job" in asked and asked <= METRICS[metric] | TARGET, (metric, asked)
        assert bool(function) == bool(span), f"{metric} of a moment, or over a time?"
        labels |= METRICS[metric] | TARGET
    kept = ", ".join(re.findall(r"\bby \(([^()]*)\)", text))
    assert set(re.findall(r"\w+", kept)) <= labels, kept
    rest = re.sub(r"\bby \([^()]*\)", "", SELECTOR.sub(r"\1(1", text))
    words = set(re.findall(r"[A-Za-z_:][\w:]*(?= ?\()", rest))
    assert words - {"or", "unless"} - FUNCTIONS == set()
    rest = re.sub(r"\b(?:\d+(?:\.\d+)?(?:e\d+)?|or|unless)\b|[\w:]+(?=\s*\()", "", rest)
    assert re.fullmatch(r"(?:[\s(),/*+-]|[<>=!]=|[<>])*", rest), rest


def check_brackets(text):
    opened = []
    for sign in re.findall(r"[(){}\[\]]", text):
        if sign in "([{":
            opened.append(sign)
        else:
            assert opened and opened.pop() + sign in ("()", "[]", "{}"), text
    assert not opened, text


@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS.keys())
def test_an_expression_is_one(expression):
    check_expression(expression)


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_an_expression_asks_for_what_is_scraped(name):
    assert set(re.findall(r'job="([^"]*)"', EXPRESSIONS[name])) == {JOB["job_name"]}
    assert set(re.findall(r'model_name="([^"]*)"', EXPRESSIONS[name])) <= {MODEL_NAME}


def test_alerts_and_dashboard_mean_the_same_failures():
    asked = "\n".join(EXPRESSIONS.values())
    (callers,) = set(re.findall(r'status!~"OK\|([^"]*)"', asked))
    assert set(re.findall(r'status=~"([^"]*)"', asked)) == {callers}


@pytest.mark.parametrize(
    "wrong",
    [
        'up{job="reid"',
        "up == 0",
        'up{instance="a"}',
        'down{job="reid"}',
        'up{job="reid", status="OK"}',
        'rate(up{job="reid"})',
        'sum(up{job="reid"}[5m])',
        'mean(up{job="reid"})',
        'sum by (status) (up{job="reid"})',
        'up{job="reid"} is 1',
    ],
)
def test_an_expression_that_is_none(wrong):
    """What the test above relies upon."""
    with pytest.raises(AssertionError):
        check_expression(wrong)


def test_metrics_are_read_where_the_server_has_them():
    (path,) = re.findall(r'^  path: "(.*)"$', (FOLDER / "monitoring.config").read_text(), re.M)
    assert JOB["metrics_path"] == path
    assert path in (FOLDER / "README.md").read_text()
    (pods,) = JOB["kubernetes_sd_configs"]
    (selector,) = pods["selectors"]
    name, value = selector["label"].split("=")
    assert pods["role"] == selector["role"] == "pod"
    assert POD["metadata"]["labels"][name] == value
    (kept,) = (rule["regex"] for rule in JOB["relabel_configs"] if rule["action"] == "keep")
    assert kept in PORTS
    about = (FOLDER / "prometheus.yaml").read_text()
    assert f"127.0.0.1:{PORTS['rest']}" in about  # for one machine
    assert [(FOLDER / name).is_file() for name in SCRAPE["rule_files"]] == [True]


def test_every_alert_says_what_it_is_and_what_to_look_at():
    assert len(ALERTS) == len(GROUP["rules"])
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert set(rule["annotations"]) == {"summary", "description"}
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= TARGET | {"model_path"}


def test_the_dashboard_takes_the_data_source_that_is_chosen():
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource"
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert variables["instance"]["datasource"] == chosen
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", variables["instance"]["query"]["query"])
    check_expression(found[1])
    assert found[2] in TARGET
    for panel in PANELS.values():
        assert panel["datasource"] == chosen
        for target in panel["targets"]:
            assert target["datasource"] == chosen
            used = set(re.findall(r"\$(?!__)(\w+)", target["expr"]))
            assert used <= set(variables)
            metric = SELECTOR.search(target["expr"].replace("$__rate_interval", "5m"))[2]
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert shown <= METRICS[metric]


def test_no_panel_lies_on_another():
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(PANELS) == len(numbers)
    cells = [
        (x, y)
        for panel in PANELS.values()
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells) and max(cells)[0] < 24


def test_a_quantile_keeps_the_buckets():
    for expression in EXPRESSIONS.values():
        if "histogram_quantile" in expression:
            assert re.search(r"by \((?:\w+, )?le\)", expression)
            assert "_bucket{" in expression
