"""What must be agreed to before a picture of a face is kept, and the record of it."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

from roommood.shared.errors import ConfigError

RECORD: Final = "CONSENT.txt"
TEXT: Final = """\
Crops of every face found in {source} will be kept as files in
    {folder}
for this purpose: {purpose}.

Go on only if everyone whose face may appear
  - knows this, and knows who can see the pictures;
  - has agreed freely, and can refuse without any disadvantage;
  - can have their pictures shown to them and deleted at any time;
  - is of age, or their parents have agreed.

Pictures of faces are personal data: keeping them needs a legal ground (in the European
Union: GDPR, Art. 6 and 7). Inferring emotions at work and in education is forbidden there
(AI Act, Art. 5(1)(f)). No name is stored and nothing leaves this computer; to delete
everything, delete the folder.
"""


def agree(
    folder: Path, source: str, purpose: str, ask: Callable[[str], str] | None, now: datetime
) -> None:
    """Show the text, take "yes" for an agreement, and record it in `folder`/CONSENT.txt.

    `ask` shows a text and gives the answer; None means that the agreement was given beforehand,
    on the command line. Nothing is written without it.

    Raises ConfigError where the answer is not "yes".
    """
    text = TEXT.format(source=source, folder=folder, purpose=purpose)
    if ask and ask(text).strip().lower() != "yes":
        raise ConfigError("not agreed to: nothing was captured and nothing was written")
    how = "by typing yes" if ask else "with --i-have-consent"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / RECORD).open("a", encoding="utf-8") as record:
        record.write(f"Agreed {how} on {now:%Y-%m-%d %H:%M:%S %Z}\n\n{text}\n")
