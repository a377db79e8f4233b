"""The first rows of a batch in the app do not wait for its workers."""

from dataclasses import replace

from faceloupe.batch.executors.warm import WarmEngine
from faceloupe.batch.inputs import listed
from faceloupe.batch.readers import Reader
from faceloupe.batch.tasks import WorkerConfig
from faceloupe.config import weights_folder
from tests.conftest import GENERATED, PHOTOGRAPH


def test_pictures_are_examined_here_until_a_worker_is_ready_and_the_results_are_the_same(analyzer):
    settings = analyzer.settings
    engine = WarmEngine(WorkerConfig(settings, weights_folder()), analyzer)
    reader = Reader(settings.max_bytes)
    try:
        files = enumerate(listed([str(GENERATED), str(PHOTOGRAPH)]))
        tasks = [replace(reader.identify(file), index=index) for index, file in files]
        for task in tasks:
            engine.submit(task)
        here = dict(engine.results(0.0))
        assert list(here) == [0]  # one at a time, so that the batch can be cancelled
        engine._workers.submit(replace(tasks[0], index=7))
        answers = {}
        while len(answers) < 2:
            answers |= dict(engine.results(1.0))
        assert set(answers) == {1, 7}
        assert answers[7] == here[0]
        assert (here[0].score is None, answers[1].score is None) == (False, False)
    finally:
        reader.close()
        engine.close()
