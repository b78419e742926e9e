"""The conformance suite: what every Task, Method, Model and Recipe keeps, ours and those of other packages.

Each function yields pairs of a name and a check. A check returns nothing where all is well, and else raises an
AssertionError whose sentence names who fails it and how. No test runner is needed; with pytest:

    from medeor.testing import check_task
    from mypackage.facts import FACTS

    @pytest.mark.parametrize(("name", "check"), check_task(FACTS))
    def test_conformance(name, check):
        check()

    AssertionError: my-task fails the check 'subset': 'p7 lesion' is 0.25 of all cases and 0.5 of some

`TaskFacts.example` names the function that makes the study on which a task is checked (`medeor.testing.Example`)."""

from medeor.testing.checks import Check
from medeor.testing.example import Example
from medeor.testing.method import check_method
from medeor.testing.model import check_model
from medeor.testing.recipe import check_recipe
from medeor.testing.task import check_task

__all__ = ["Check", "Example", "check_method", "check_model", "check_recipe", "check_task"]
