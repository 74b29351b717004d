"""Answers to what jobs ask people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response

from ..domain.errors import QuestionNotFound
from ..domain.operations import Answer, GetQuestion, JobQuestions
from ..domain.questions import Question, choose
from ..shapes import fit
from .body import body_of, parse, read_json
from .callers import anyone, find_job, owner
from .jobs import base_of, full_job
from .problems import ProblemRoute, described
from .schemas import AnswerIn, AnswerTo, JobOut, QuestionShown, question_shown

if TYPE_CHECKING:
    from ..app import Backburner

Owner = Annotated[str, Depends(owner)]


def answer_routes(bb: Backburner) -> APIRouter:
    router = APIRouter(route_class=ProblemRoute, tags=["answers"])

    @router.post(
        "/jobs/{id}/answer",
        response_model=JobOut,
        responses=described(400, 403, 404, 409, 413, 422, 503),
        openapi_extra=body_of(AnswerTo),
    )
    async def answer_job(request: Request, owner: Owner, id: str) -> Response:
        """Answer what the job asks; the token says which question where it asks several. The same answer again changes
        nothing, another one is refused."""
        given = parse(AnswerTo, await read_json(request), "the answer")
        await find_job(bb, id, owner)
        question = choose(await bb.store.read(JobQuestions(id)), id, given.token)
        await bb.store.write(Answer(question.token, fit(question, given.answer)))
        return JSONResponse(await full_job(bb, await find_job(bb, id, owner), base_of(request)))

    @router.get(
        "/answers/{token}",
        response_model=QuestionShown,
        responses=described(403, 404, 503),
        dependencies=[Depends(anyone)],
    )
    async def get_question(token: str) -> Response:
        """What is asked, for whoever has the token: nothing else of the job."""
        return JSONResponse(question_shown(await _question(token)))

    @router.post(
        "/answers/{token}",
        response_model=QuestionShown,
        responses=described(400, 403, 404, 409, 413, 422, 503),
        dependencies=[Depends(anyone)],
        openapi_extra=body_of(AnswerIn),
    )
    async def answer_question(request: Request, token: str) -> Response:
        """Answer it, once. The same answer again changes nothing, another one is refused."""
        given = parse(AnswerIn, await read_json(request), "the answer")
        await bb.store.write(Answer(token, fit(await _question(token), given.answer)))
        return JSONResponse(question_shown(await _question(token)))

    async def _question(token: str) -> Question:
        question = await bb.store.read(GetQuestion(token))
        if question is None:
            raise QuestionNotFound("there is no question with this token")
        return question

    return router
