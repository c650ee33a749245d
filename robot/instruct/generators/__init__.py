"""The generators, one file a family; importing this package registers all of them."""

from robot.instruct.generators import (
    aggregate as aggregate,
)
from robot.instruct.generators import (
    attributes as attributes,
)
from robot.instruct.generators import (
    changes as changes,
)
from robot.instruct.generators import (
    compare as compare,
)
from robot.instruct.generators import (
    depth as depth,
)
from robot.instruct.generators import (
    events as events,
)
from robot.instruct.generators import (
    goals as goals,
)
from robot.instruct.generators import (
    grasping as grasping,
)
from robot.instruct.generators import (
    measures as measures,
)
from robot.instruct.generators import (
    objects as objects,
)
from robot.instruct.generators import (
    points as points,
)
from robot.instruct.generators import (
    progress as progress,
)
from robot.instruct.generators import (
    referring as referring,
)
from robot.instruct.generators import (
    related as related,
)
from robot.instruct.generators import (
    relations as relations,
)
from robot.instruct.generators import (
    scene_questions as scene_questions,
)
from robot.instruct.generators import (
    select as select,
)
from robot.instruct.generators import (
    views as views,
)
