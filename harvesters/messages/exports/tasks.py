"""Tasks as they are exported, and the questions that they are."""

from __future__ import annotations

from typing import Any

from harvesters.messages.exports.repair import repair, repaired

ANSWER, BEST = "answerTransaction", "bestAnswerTransaction"
Row = dict[str, Any]

_TASK = (
    *("id", "_creationTs", "_lastUpdateTs", "taskTypeId", "requesterId", "appId", "goal", "norms"),
    *("attributes", "closeTs", "communityId", "transactions"),
)
_GOAL = ("name", "description", "keywords")
_TRANSACTION = ("taskId", "label", "attributes", "actioneerId", "messages", "id", "_creationTs", "_lastUpdateTs")
_MESSAGE = ("appId", "receiverId", "label", "attributes")
_LISTS = {"norms", "transactions", "keywords", "messages"}
_TEXTS = {ANSWER: ("answer",), BEST: ("reason",)}  # what people wrote, by the label of a transaction
_TOLD = {  # by the label of a message
    "QuestionToAnswerMessage": ("question",),
    "AnsweredQuestionMessage": ("question", "answer"),
    "AnsweredPickedMessage": ("question",),
}


def exported(task: Row) -> Row:
    """The fields that a task has in the export, in their order, with the texts of people repaired."""
    made = _only(task, _TASK)
    if isinstance(made["goal"], dict):
        made["goal"] = repair(_only(made["goal"], _GOAL), "name")
    made["transactions"] = [_transaction(one) for one in transactions_of(task)]
    return made


def question_and_answer(task: Row) -> tuple[Any, Any]:
    """What was asked, and the answer that was approved last; "" where there is none, or it is nowhere."""
    goal = task.get("goal")
    question = repaired(goal.get("name")) if isinstance(goal, dict) else None
    done = transactions_of(task)
    best = [_said(one, "transactionId") for one in done if one.get("label") == BEST]
    answers = [one for one in done if one.get("label") == ANSWER and str(one.get("id")) in map(str, best[-1:])]
    return question, repaired(_said(answers[-1], "answer")) if answers else ""


def transactions_of(task: Row) -> list[Row]:
    """Its transactions; what is none is left out."""
    return [one for one in task.get("transactions") or [] if isinstance(one, dict)]


def _transaction(one: Row) -> Row:
    made = _only(one, _TRANSACTION)
    made["attributes"] = repair(made["attributes"], *_TEXTS.get(str(made["label"]), ()))
    made["messages"] = [_message(message) for message in made["messages"] if isinstance(message, dict)]
    return made


def _message(message: Row) -> Row:
    made = _only(message, _MESSAGE)
    made["attributes"] = repair(made["attributes"], *_TOLD.get(str(made["label"]), ()))
    return made


def _said(one: Row, name: str) -> Any:
    attributes = one.get("attributes")
    return attributes.get(name) if isinstance(attributes, dict) else None


def _only(row: Row, names: tuple[str, ...]) -> Row:
    return {name: _of(row, name) for name in names}


def _of(row: Row, name: str) -> Any:
    value = row.get(name)
    return [] if value is None and name in _LISTS else value
