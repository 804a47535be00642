"""`junit.xml`: one test suite an experiment, one test case a claim, as CI systems show them."""

import re
import xml.etree.ElementTree as ET

from cryptosense.workbench.report.answer import cut_short
from cryptosense.workbench.report.wording import figure, observed
from cryptosense.workbench.results import ClaimResult, ExperimentResult, RunResults
from cryptosense.workbench.verdicts import Verdict

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(results: RunResults) -> str:
    """The whole document. Violated is a failure, undecided an error, what cannot be proved here is skipped."""
    root = ET.Element("testsuites", name=f"cryptosense {results.run_id}")
    for experiment in results.experiments:
        root.append(_suite(experiment, results.started_at))
    for attribute in ("tests", "failures", "errors", "skipped"):
        root.set(attribute, str(sum(int(suite.get(attribute, "0")) for suite in root)))
    root.set("time", f"{sum(experiment.seconds for experiment in results.experiments):.3f}")
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'


def _suite(experiment: ExperimentResult, started_at: str) -> ET.Element:
    suite = ET.Element("testsuite", name=experiment.name, timestamp=started_at, time=f"{experiment.seconds:.3f}")
    for claim in experiment.claims:
        suite.append(_case(experiment.name, claim))
    if cut_short(experiment) or not experiment.claims:
        case = ET.SubElement(suite, "testcase", classname=f"cryptosense.{experiment.name}", name="came to its end")
        _tell(case, "error", "UNDECIDED", experiment.reason or "no claim was judged", "")
    suite.set("tests", str(len(suite.findall("testcase"))))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(attribute, str(len(suite.findall(f"testcase/{tag}"))))
    return suite


def _case(experiment: str, claim: ClaimResult) -> ET.Element:
    kind = " (control)" if claim.control else ""
    name = _clean(f"{claim.id}{kind}: {claim.statement}")
    case = ET.Element("testcase", classname=f"cryptosense.{experiment}", name=name)
    details = "\n".join(
        (
            f"expected: {figure(claim.expected, claim.unit)}",
            f"observed: {observed(claim)}",
            f"samples: {claim.samples}",
            f"source: {', '.join(claim.source)}",
            f"evidence: operations {', '.join(map(str, claim.evidence)) or 'none'}",
            f"reason: {claim.reason}",
        )
    )
    if claim.advisory:
        _tell(case, "skipped", "", f"not proved here: {claim.reason}", "")
    elif claim.counts_as is Verdict.VIOLATED:
        why = "the flawed control was not caught" if claim.control else claim.reason
        _tell(case, "failure", "VIOLATED", why, details)
    elif claim.counts_as is Verdict.UNDECIDED:
        _tell(case, "error", "UNDECIDED", claim.reason, details)
    else:
        ET.SubElement(case, "system-out").text = _clean(details)
    return case


def _tell(case: ET.Element, tag: str, kind: str, message: str, details: str) -> None:
    part = ET.SubElement(case, tag, message=_clean(message))
    if kind:
        part.set("type", kind)
    if details:
        part.text = _clean(details)


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("\ufffd", text)
