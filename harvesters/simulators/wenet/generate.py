"""A made-up pilot: students ask each other for help through a chatbot, and some of it is reported."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from harvesters.simulators.wenet.world import App, Row, World, callback, cohort, profile, task, transact

APP, ILOG, SURVEY = "chatbot", "ilog", "survey"
_NAMES = ("Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Fatima", "Giulia", "Hamza", "Ines", "Jonas", "Zoë")
_SURNAMES = ("Rossi", "Müller", "Nguyen", "García", "Bianchi", "Jensen", "Odgerel")
_GENDERS = ("F", "M", "O", "non-binary", "not-say", None)
_QUESTIONS = (
    "Where can I study at night?",
    "Chi mi spiega l'algebra? :books:",
    "Who plays football? :soccer_ball:",
    "Is the exam hard?",
    "Café or tea before a lecture?",
)
_ANSWERS = ("In the library", "Ask in the tutorial :thumbsup:", "Yes!", "Perché no?", "I can help you")


def generate(users: int, tasks: int, start: datetime, end: datetime, seed: int = 1, gone: int = 0) -> World:
    """A platform where so many users of an application asked so many questions between two times.

    The profiles of the last `gone` users are gone.
    """
    made = random.Random(seed)
    first, last = int(start.timestamp()), int(end.timestamp()) - 1
    ids = [str(number) for number in range(1, users + 1)]
    apps = App(APP, "Ask for help"), App(ILOG, "i-Log"), App(SURVEY, "Survey")
    world = World()
    world.add(*apps)
    for number, user in enumerate(ids):
        enabled = first + number * max(1, (last - first) // (2 * users))
        apps[0].users[user] = enabled
        for app, share in ((apps[1], 0.6), (apps[2], 0.8)):
            if made.random() < share:
                app.users[user] = enabled
        world.cohorts.append(cohort(user, APP, number % 2, enabled))
        if number < users - gone:
            world.profiles[user] = _profile(made, user)
    world.tasks = [
        _task(made, number, ids, second)
        for number, second in enumerate(sorted(made.randint(first, last) for _ in range(tasks)), 1)
    ]
    return world


def _profile(made: random.Random, user: str) -> Row:
    first, last = made.choice(_NAMES), made.choice(_SURNAMES)
    born = {"year": made.randint(1980, 2005), "month": made.randint(1, 12), "day": made.randint(1, 28)}
    email = f"{first}.{last}.{user}@example.org".lower()
    return profile(user, first, last, gender=made.choice(_GENDERS), dateOfBirth=born, email=email)


def _task(made: random.Random, number: int, users: list[str], second: int) -> Row:
    asks, question = made.choice(users), made.choice(_QUESTIONS)
    one = task(f"task-{number}", APP, asks, json.dumps(question), second)
    answers = []
    for user in made.sample(users, k=min(len(users), made.randint(0, 3))):
        text = json.dumps(made.choice(_ANSWERS))
        told = callback(APP, asks, "AnsweredQuestionMessage", question=question, answer=text)
        answers.append(transact(one, "answerTransaction", user, second, {"answer": text}, told))
    for label in ("notAnswerTransaction", "moreAnswerTransaction", "reportQuestionTransaction"):
        if made.random() < 0.2:
            transact(one, label, made.choice(users), second, {})
    if answers and made.random() < 0.5:
        best = {"transactionId": made.choice(answers)["id"], "reason": "It helped"}
        transact(one, "bestAnswerTransaction", asks, second, best)
        one["closeTs"] = second
    return one


def messages(world: World, count: int, start: datetime, end: datetime, seed: int = 1) -> Iterator[dict[str, Any]]:
    """So many messages of users of the application and its bot between two times, for ``POST /messages``."""
    made = random.Random(seed)
    users = list(world.apps[APP].users)
    step = (end - start) / max(1, count)
    return (_message(made, number, made.choice(users), start + number * step) for number in range(count))


def _message(made: random.Random, number: int, user: str, moment: datetime) -> dict[str, Any]:
    kind = ("request", "response", "notification")[number % 3]
    message = {
        "messageId": f"message-{number}",
        "channel": "telegram",
        "userId": user,
        "timestamp": (moment - timedelta(microseconds=moment.microsecond)).astimezone(UTC).isoformat(),
        "project": APP,
        "type": kind,
        "content": {"type": "text", "value": made.choice(_QUESTIONS)},
        "metadata": {"question": json.dumps(made.choice(_QUESTIONS))},
    }
    if kind == "request":
        message["intent"] = {"name": made.choice(("question", "answer", "default")), "confidence": made.random()}
    if kind == "response":
        message["responseTo"] = f"message-{number - 1}"
    return message
