"""The bodies of requests, field by field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, model_validator

from scalemesh.fields import build, git, names, variables
from scalemesh.model import BuildSettings, VariableChange
from scalemesh.web.body import Payload


def _git_url(value: str, info: ValidationInfo) -> str:
    assert isinstance(info.context, git.GitRules)
    return git.git_url(value, info.context)


def _optional_ref(value: str | None) -> str | None:
    return git.ref(value) if value else None


def _optional_token(value: str | None) -> str | None:
    return git.access_token(value) if value else value


def _optional_directory(value: str | None) -> str | None:
    return build.directory(value) if value else None


def _optional_command(value: str | None) -> str | None:
    return build.command(value) if value else None


@dataclass(frozen=True, slots=True)
class _EnvForm:
    """What a form says about variables, in several fields: see ``variables.parse_form``."""

    lines: str
    scope: str
    kept: Mapping[str, str]


# `envScope.NAME` is the scope of a variable that is kept; a name has no dot.
_KEPT = "envScope."


def _env(value: object) -> tuple[VariableChange, ...]:
    if isinstance(value, _EnvForm):
        return tuple(variables.parse_form(value.lines, value.scope, value.kept))
    if not isinstance(value, dict):
        raise ValueError('Give env as an object, like {"NAME": "value"}.')  # noqa: TRY004 - pydantic's way
    return tuple(variables.parse_object(value))


PersonName = Annotated[
    str, AfterValidator(lambda value: names.text(value, what="your name", limit=names.NAME_MAX_CHARACTERS))
]
ProjectName = Annotated[
    str, AfterValidator(lambda value: names.text(value, what="a name", limit=names.NAME_MAX_CHARACTERS))
]
Email = Annotated[str, AfterValidator(names.email)]
NewPassword = Annotated[str, AfterValidator(names.password)]
GitUrl = Annotated[str, AfterValidator(_git_url)]
Ref = Annotated[str | None, AfterValidator(_optional_ref)]
AccessToken = Annotated[str | None, AfterValidator(_optional_token)]
Directory = Annotated[str | None, AfterValidator(_optional_directory)]
Command = Annotated[str | None, AfterValidator(_optional_command)]
Env = Annotated[tuple[VariableChange, ...], PlainValidator(_env)]


class Signup(Payload):
    name: PersonName
    email: Email
    password: NewPassword
    next: str = ""


class Login(Payload):
    # Not checked further: whatever can't be an account's is answered like a wrong password.
    email: str
    password: str
    next: str = ""


class PasswordChange(Payload):
    current_password: str = Field(alias="currentPassword")
    password: NewPassword


class _Project(Payload):
    # In the order of the page: the first wrong field is the one that takes the focus.
    name: ProjectName = ""
    git_url: GitUrl = Field("", alias="gitUrl")
    access_token: AccessToken = Field(None, alias="accessToken")
    branch: Ref = None
    root_directory: Directory = Field(None, alias="rootDirectory")
    install_command: Command = Field(None, alias="installCommand")
    build_command: Command = Field(None, alias="buildCommand")
    output_directory: Directory = Field(None, alias="outputDirectory")
    env: Env = ()

    @model_validator(mode="before")
    @classmethod
    def _env_of_form(cls, values: Mapping[str, Any]) -> Mapping[str, Any]:
        if not isinstance(values.get("env"), str):
            return values
        kept = {name.removeprefix(_KEPT): scope for name, scope in values.items() if name.startswith(_KEPT)}
        return {**values, "env": _EnvForm(values["env"], values.get("envScope", "all"), kept)}

    def settings(self) -> BuildSettings:
        return BuildSettings(
            branch=self.branch,
            root_directory=self.root_directory,
            install_command=self.install_command,
            build_command=self.build_command,
            output_directory=self.output_directory,
        )


class NewProject(_Project):
    name: ProjectName
    git_url: GitUrl = Field(alias="gitUrl")
    # The page's "Save and deploy"; an API client posts to /deploy.
    deploy: bool = False


class ProjectChanges(_Project):
    # The page never shows the token, so a form that leaves its field empty keeps it.
    remove_access_token: bool = Field(False, alias="removeAccessToken")

    def changes(self) -> dict[str, Any]:
        """Only what the request named."""
        named = {name: getattr(self, name) for name in self.model_fields_set}
        if named.pop("remove_access_token", False):
            named["access_token"] = None
        elif named.get("access_token") == "":
            del named["access_token"]
        return named


class DeleteProject(Payload):
    confirm: str = ""


class Deploy(Payload):
    project_id: str = Field(alias="projectID")
    ref: Ref = None
    no_cache: bool = Field(False, alias="noCache")
