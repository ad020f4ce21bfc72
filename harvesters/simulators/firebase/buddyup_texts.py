"""What people write to each other at a made-up BuddyUp."""

from __future__ import annotations

from random import Random

from harvesters.simulators.firebase.buddyup_rhythm import DAY

_GLAD = (
    "I love this class, the last lecture was great and the examples made it click!",
    "Thanks for the excellent notes, they were really helpful and easy to follow.",
    "So happy with my grade, and our group was amazing. See you all next week!",
)
_CALM = (
    *("Anyone up for the library tonight? The midterm is on Thursday and I have not even opened chapter four yet.",)
    * 2,
    "¿Alguien tiene los apuntes? Merci d'avance, ich bringe Kaffee mit ☕ 🎉",
    "see you at 5\nin front of the main building, second entrance, bring the problem set and a calculator",
    "ok",
)
_CROSS = (
    "Terrible exam, I hated every minute of it.",
    "This assignment is awful, the instructions are confusing and the deadline is impossible.",
)


def written(random: Random, ms: int, about: str = "") -> str:
    """A message: crosser every seventh week, when exams are, and in some classes (`about` is one's id)."""
    exams = ms // DAY // 7 % 7 == 0
    sour = sum(map(ord, about[-6:])) % 5 / 20
    chance = random.random()
    texts = _CROSS if chance < 0.12 + sour + 0.25 * exams else _GLAD if chance > 0.68 + sour else _CALM
    return texts[int(random.random() * len(texts))]
