"""The text of ``--help``."""

import string

import hydra
from omegaconf import OmegaConf, open_dict

from bookcls.config import conf_dir


def usage(verb: str, overrides: list[str]) -> str:
    """Renders the help of a verb: ``hydra.help.template`` of conf/<verb>.yaml.

    Hydra's own ``--help`` prints the same, but loads every option of its own config groups, which
    takes longer than importing Hydra.

    Args:
        verb: Name of the primary configuration.
        overrides: Overrides to apply to the values that are shown.
    """
    folder = conf_dir(verb)
    with hydra.initialize_config_dir(str(folder), version_base="1.3"):
        config = hydra.compose(verb, overrides=overrides, return_hydra_config=True)
    with open_dict(config):
        template = string.Template(config.pop("hydra").help.template)
    groups = {
        path.name: ", ".join(sorted(option.stem for option in path.glob("*.yaml")))
        for path in sorted(folder.iterdir())
        if path.is_dir()
    }
    return template.substitute(
        APP_CONFIG_GROUPS="".join(f"{name}: {has}\n" for name, has in groups.items() if has),
        CONFIG=OmegaConf.to_yaml(config),
    )
