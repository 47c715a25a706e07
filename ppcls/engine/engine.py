"""One stage in one mode: build what it needs, then eval, infer or export; ``training.py`` trains it."""

import dataclasses
import logging
import signal
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F

from ppcls.arch import NCHW, build_model, compute_in, synchronise
from ppcls.config import Config, Stage
from ppcls.data import Loader, build_loader
from ppcls.data import postprocess as _  # noqa: F401  registers its names
from ppcls.data.preprocess import Pipeline
from ppcls.data.preprocess.float32 import in_float32
from ppcls.engine import lines
from ppcls.engine.card import follow_card
from ppcls.engine.evaluate import EvaluationStopped, Judge, Watch, judge_model
from ppcls.engine.export import ExportPlan, about, export
from ppcls.engine.exported_network import ExportedNetwork
from ppcls.engine.hooks.preemption import Rounds
from ppcls.engine.precision import Precision
from ppcls.engine.predict import Answer, find_images, predict, write_csv, write_json
from ppcls.engine.presence import Presence
from ppcls.loss import build_loss
from ppcls.metric import build_metrics
from ppcls.registry import POSTPROCESSES
from ppcls.utils import compat, dist, logger
from ppcls.utils.errors import ConfigError, PpclsError, StoppedError
from ppcls.utils.files import output_errors
from ppcls.utils.model_card import ModelCard, card_path, read_card
from ppcls.utils.save_load import find_prefix, load_into, read_weights
from ppcls.utils.seed import Stream, derive, draw_seed
from ppcls.utils.signals import StopRequests
from ppcls.utils.status import StatusFolder

_LOG = logging.getLogger("ppcls")


class Engine:
    """A network on a device, and what its config says to do with it.

    Building it chooses the device, joins the other ranks and draws the initial weights. Outside training the weights
    that the config names are loaded, all of them, or it is an error.

    Args:
        mode: train, eval, infer or export; only what it uses is built.
        runtime: ``eager`` for the network and its weights, or what runs the program in ``Global.save_inference_dir``.
    """

    def __init__(self, stage: Stage, mode: str, runtime: str = "eager") -> None:
        device = compat.select_device(stage.config.Global.device)
        dist.start()
        _LOG.info("running on %s, paddle %s, %d rank(s)", device, compat.paddle_version(), dist.world_size())
        self.stage = _with_seed(stage)
        self.config: Config = self.stage.config
        self.seed: int = self.config.Global.seed
        paddle.seed(derive(self.seed, Stream.INIT))
        self.card: ModelCard | None = None
        self.judged = ""  # whose answers eval judges, for its log
        if runtime != "eager":
            self.network = ExportedNetwork(runtime, self.config)
            self.precision = Precision()  # the program has its own
            self._take_config(self.network.follow(self.config, mode))
            self.judged = self.network.description
            return
        self.network = build_model(self.config.Arch)
        if mode == "train" and self.config.Arch.use_sync_bn and dist.world_size() > 1:
            self.network = synchronise(self.network)
        self.precision = _precision(self.config, mode)
        if mode != "train":
            self._load_all_weights(mode)

    def eval(self) -> dict[str, float]:
        """Judge the weights on ``DataLoader.Eval``, also into ``eval.log``: the loss by parts, the metrics."""
        if dist.is_main():
            with output_errors(self.stage.folder):
                self.stage.folder.mkdir(parents=True, exist_ok=True)
                logger.add_file(self.stage.folder / "eval.log")
        _LOG.info("judging %s", self.judged)
        status = StatusFolder(self.stage.folder / "eval_status")
        life = dist.from_main(status.begin_life)
        with StopRequests() as requests, Presence(status, life, self.config.Global.watchdog_s, requests) as presence:
            results = self._judge_alone(presence)
            presence.complete()
        _LOG.info(lines.mean_line("Eval", "[Epoch 0]", results))
        logger.close_files()
        return results

    def _judge_alone(self, presence: Presence) -> dict[str, float]:
        """An evaluation that is not part of a training; StoppedError when some rank is told to stop."""
        presence.requests.begin()
        rounds = Rounds(dist.meet)
        heard: list[int] = []

        def stop() -> bool:
            if rounds.is_due():
                heard.append(int(dist.all_max([presence.requests.received])[0]))
            return bool(heard) and heard[-1] > 0

        try:
            return judge_model(self.network, self.judge(), epoch=0, watch=Watch(presence.pulse, stop=stop))
        except EvaluationStopped as error:
            name = signal.Signals(heard[-1]).name
            raise StoppedError(f"the evaluation was stopped by {name}; there is no result", heard[-1]) from error

    def judge(self) -> Judge:
        """What an evaluation needs besides the model."""
        losses, metrics = self.config.Loss.Eval, self.config.Metric.Eval
        return Judge(
            self.loader("Eval"),
            build_loss(losses) if losses else None,
            build_metrics(metrics, self.config.Arch.class_num),
            self.config.Global.print_batch_step,
            self.precision.judging,
        )

    def loader(self, split: str) -> Loader:
        """The loader of ``Train`` or ``Eval`` for this rank."""
        config = getattr(self.config.DataLoader, split)
        class_num = self.config.Arch.class_num
        where = {"rank": dist.rank(), "world": dist.world_size()}
        takes_float16 = split == "Train" and self.config.AMP.use_amp and paddle.get_device().startswith("gpu")
        return build_loader(
            config, split=split, class_num=class_num, seed=self.seed, takes_float16=takes_float16, **where
        )

    def infer(self, json_file: Path | None = None, csv_file: Path | None = None) -> None:
        """Print a Python list of answers a batch on standard output.

        Raises:
            PpclsError: ``partial``: some pictures could not be read; each is named in the log, the others are answered.
        """
        config = self.config.Infer
        pipeline = Pipeline.for_inference(in_float32(config.transforms))
        post_process = POSTPROCESSES.build(config.PostProcess)
        images = find_images(config.infer_imgs, config.infer_list)
        answers: list[Answer] = []
        unreadable = 0
        for batch in predict(images, config.batch_size, pipeline, self._probabilities, post_process):
            if batch.answers:
                print(batch.answers, flush=True)
            for problem in batch.unreadable:
                _LOG.error("not answered: %s", problem)
            answers += batch.answers
            unreadable += len(batch.unreadable)
        if config.save_dir:
            json_file = json_file or Path(config.save_dir) / "answers.json"
        if json_file:
            write_json(answers, json_file)
        if csv_file:
            write_csv(answers, csv_file)
        if unreadable:
            counts = f"{unreadable} of {len(images)} pictures could not be read"
            raise PpclsError(f"{counts}; they are named above, the others are answered", "partial")

    def export(self, onnx: bool = False, optimize: bool = False, pad_channels: int = 1) -> list[Path]:
        """Write ``inference.*`` into ``Global.save_inference_dir`` and print the files.

        Programs compute in NCHW whatever ``Arch.data_format`` says. They answer the same; of others, Paddle Inference
        stops on a CPU (3.3, oneDNN), and paddle2onnx aborts the process.

        Args:
            optimize: rewrite the ONNX program for engines, with the same answers.
            pad_channels: there, pad channels with zeros to multiples of this.
        """
        settings = self.config.Global
        network = self.network if self.config.Arch.data_format == NCHW else compute_in(self.network, NCHW)
        plan = ExportPlan(
            Path(settings.save_inference_dir),
            settings.image_shape,
            self.config.Arch.infer_add_softmax,
            onnx,
            about(self.config, self.card),
            optimize,
            pad_channels,
        )
        files = export(network, plan)
        for path in files:
            _LOG.info("wrote %s", path)
        return files

    @paddle.no_grad()
    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        """float32 ``[N, C, H, W]`` -> float32 ``[N, class_num]``, rows that sum to 1."""
        self.network.eval()
        return F.softmax(self.network(paddle.to_tensor(images)), axis=-1).numpy()

    def _load_all_weights(self, mode: str) -> None:
        settings = self.config.Global
        own = str(self.stage.folder / "best_model")
        checkpoints = own if settings.checkpoints == "auto" else settings.checkpoints
        sources = (settings.pretrained_model, checkpoints, self.config.Arch.pretrained)
        source = next((source for source in sources if source), None)
        if source is None:
            raise ConfigError(f"Global.pretrained_model: {mode} needs weights; -o Global.pretrained_model={own}")
        path = self.load_weights(source, strict=True)
        self.card = read_card(path) if settings.use_model_card else None
        if self.card is not None:
            self._take_config(follow_card(self.config, mode, self.network, self.card, path))
        self.judged = str(path)

    def _take_config(self, config: Config) -> None:
        self.config = config
        self.stage = dataclasses.replace(self.stage, config=config)

    def load_weights(self, source: str | bool, *, strict: bool) -> Path:
        """Load weights from a prefix, a file or a URL; returns the file they came from.

        Args:
            strict: every tensor must fit; otherwise a classifier of another number of classes stays as drawn.
        """
        if source is True:
            raise ConfigError(
                "Arch.pretrained: True asks for published weights, and none are shipped; "
                "give a path, or train from scratch with -o Arch.pretrained=False"
            )
        prefix = find_prefix(str(source), self.config.Arch.name)
        weights = read_weights(prefix)
        load_into(self.network, weights, strict=strict, allow_head_mismatch=not strict)
        if not strict and card_path(weights.path).exists():
            _LOG.info("%s lies beside; a training prepares pictures as its config says", card_path(weights.path))
        return weights.path


def _precision(config: Config, mode: str) -> Precision:
    """What the log then says that a training or an evaluation computes in; answers and exports are float32."""
    if mode not in ("train", "eval"):
        return Precision()
    keeps_masters = config.Optimizer is None or config.Optimizer.multi_precision is not False
    precision = Precision(config.AMP, trains=mode == "train", keeps_masters=keeps_masters)
    precision.announce()
    return precision


def _with_seed(stage: Stage) -> Stage:
    """The stage with a seed of its own, where it asked for none: drawn by rank 0, the same on all ranks."""
    if stage.config.Global.seed is not None:
        _LOG.info("seed: %d", stage.config.Global.seed)
        return stage
    seed = int(dist.all_sum([draw_seed() if dist.is_main() else 0])[0])
    _LOG.info("seed: %d (drawn; Global.seed is null)", seed)
    settings = dataclasses.replace(stage.config.Global, seed=seed)
    return dataclasses.replace(stage, config=dataclasses.replace(stage.config, Global=settings))
